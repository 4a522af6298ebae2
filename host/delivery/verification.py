"""The verdict is the device's: a candidate is pushed, measured and run there before it is called done.

Shapes: `B` test images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any, Protocol

import numpy as np
import torch
from edgewright.converters.precision import Precision
from edgewright.device_agent.timing import TimingProtocol
from numpy.typing import NDArray
from torch import nn

from ..costs import Cost
from ..customize.algorithm1 import Candidate
from ..customize.scenario import Scenario
from ..devices.session.agent_session import MeasureJob
from ..errors import MeasurementError
from ..profiling.records import Measurement
from ..profiling.verifications import VerificationRecord
from ..tasks.domain import ACCURACY, Examples, ScoreName

PROTOCOL = TimingProtocol(n_runs=100, min_time_ms=100.0)
N_MEASUREMENTS = 3
# Of the largest output. int8 cuts off what is rarer than its calibration, and is judged by its answers.
PARITY_TOLERANCE = {Precision.FLOAT32: 1e-3, Precision.FLOAT16: 1e-2, Precision.INT8: math.inf}
MAX_LOSS = 0.02  # of the score, that a quantised model may have less than float32


class VerifyingSession(Protocol):
    """What verifying needs of a device."""

    def put_blob(self, data: bytes) -> str: ...

    def measure(self, job: MeasureJob, protocol: TimingProtocol) -> dict[str, Any]: ...

    def run(self, job: MeasureJob, inputs: NDArray[np.float32]) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class Verification:
    """What the device showed, beside float32 torch on the same test images: `parity_max_abs` is the largest difference
    of an output, `agreement` the share of equal answers. Which score it is says `score_name`."""

    cost: Cost
    latency_spread_ms: tuple[float, float]
    parity_max_abs: float
    score: float
    n_images: int
    model_sha256: str
    torch_score: float
    agreement: float
    score_name: ScoreName = ACCURACY

    def to_json(self) -> dict[str, Any]:
        """With the scores under the domain's own name."""
        data, key = asdict(self), self.score_name.key
        del data["score_name"]
        return data | {key: data.pop("score"), f"torch_{key}": data.pop("torch_score")}


def measure_model(session: VerifyingSession, content: bytes) -> tuple[str, list[Measurement]]:
    """Push a model and measure it in `N_MEASUREMENTS` processes of its own. Raises `MeasurementError`."""
    sha = session.put_blob(content)
    job = MeasureJob(model_sha=sha)
    measurements = [Measurement.from_reply(session.measure(job, PROTOCOL)) for _ in range(N_MEASUREMENTS)]
    for measurement in measurements:
        if measurement.error is not None:
            raise MeasurementError(f"the model could not be measured on the device: {measurement.error}")
    return sha, measurements


def median_latency_ms(measurements: Sequence[Measurement]) -> float:
    """Median over the processes, of each process's median."""
    return float(np.median([m.latency_ms for m in measurements if m.latency_ms is not None]))


def cost_of(measurements: Sequence[Measurement], size_bytes: int) -> Cost:
    """Medians over the processes; the memory is None where the device cannot tell it."""
    memories = [m.memory_mib for m in measurements if m.memory_mib is not None]
    memory = float(np.median(memories)) if memories else None
    return Cost(median_latency_ms(measurements), memory, size_bytes / 2**20)


def verification_record(
    scenario: Scenario, candidate: Candidate, measurements: Sequence[Measurement], template_sha: str, facts_digest: str
) -> VerificationRecord:
    """What the store keeps of a model's measurements on the scenario's device."""
    cost, estimate = cost_of(measurements, measurements[0].size_bytes or 0), candidate.estimate
    return VerificationRecord(
        device=scenario.device,
        template_sha=template_sha,
        facts_digest=facts_digest,
        started_at=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        gates_digest=candidate.gates.digest,
        packed_gates=candidate.gates.pack(),
        counts=candidate.gates.counts,
        samples_ms=tuple(m.samples_ms for m in measurements if m.samples_ms is not None),
        protocol=PROTOCOL,
        budget=scenario.budget.given,
        task=str(scenario.task),
        fits=scenario.budget.fits(cost),
        memory_mib=cost.memory_mib,
        memory_method=measurements[0].memory_method,
        predicted_latency_ms=estimate.predicted.latency_ms,
        upper_latency_ms=estimate.upper.latency_ms,
        predicted_memory_mib=estimate.predicted.memory_mib,
        upper_memory_mib=estimate.upper.memory_mib,
    )


def verify(
    session: VerifyingSession,
    content: bytes,
    subnet: nn.Module,
    examples: Examples,
    on_measured: Callable[[list[Measurement]], None] = lambda measurements: None,
    precision: Precision = Precision.FLOAT32,
) -> Verification:
    """Measure `content` on the device and compare its answers to `subnet` in torch, on every test image.

    `on_measured` gets the measurements before anything else is done with them.

    Raises `MeasurementError` when the device cannot run it, or answers something else than torch does: beyond rounding
    in float32 and float16, and in every precision with a score that is more than `MAX_LOSS` less.
    """
    sha, measurements = measure_model(session, content)
    on_measured(measurements)
    on_device = session.run(MeasureJob(model_sha=sha), examples.images)  # (B, ...)
    with torch.inference_mode():
        in_torch = subnet(torch.from_numpy(examples.images)).numpy()  # (B, ...)
    difference = _checked_difference(on_device, in_torch, precision)
    n_images, score, torch_score = len(examples.images), examples.score(on_device), examples.score(in_torch)
    _check_score(score, torch_score, n_images, examples.score_name, precision)
    latencies = [m.latency_ms for m in measurements if m.latency_ms is not None]
    return Verification(
        cost=cost_of(measurements, len(content)),
        latency_spread_ms=(min(latencies), max(latencies)),
        parity_max_abs=difference,
        score=score,
        n_images=n_images,
        model_sha256=sha,
        torch_score=torch_score,
        agreement=examples.agreement(on_device, in_torch),
        score_name=examples.score_name,
    )


def _checked_difference(
    on_device: NDArray[np.float32], in_torch: NDArray[np.float32], precision: Precision
) -> float:
    """The largest difference of an output."""
    difference, scale = float(np.abs(on_device - in_torch).max()), float(np.abs(in_torch).max())
    if not (math.isfinite(difference) and difference <= PARITY_TOLERANCE[precision] * max(scale, 1.0)):
        raise MeasurementError(
            f"the device's answers differ from torch's by up to {difference:.3g} (largest output {scale:.3g}); "
            "its runtime computes this model wrongly: try another runtime version"
        )
    return difference


def _check_score(score: float, in_torch: float, n_images: int, name: ScoreName, precision: Precision) -> None:
    """A single image of a few is no loss yet."""
    lost = in_torch - score
    finer = Precision.FLOAT16 if precision is Precision.INT8 else Precision.FLOAT32
    if lost > max(1 / n_images, MAX_LOSS) + 1e-9:
        raise MeasurementError(
            f"the {precision} model reaches {name.title} {score:.1%} on {n_images} test images on the device, "
            f"{100 * lost:.1f} points less than in float32 ({in_torch:.1%}), and at most {100 * MAX_LOSS:g} are "
            f"accepted: use --precision {finer}"
        )
