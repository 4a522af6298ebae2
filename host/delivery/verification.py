"""The verdict is the device's: a model is pushed, measured and run there before it is called done.

Shapes: `n` sets of inputs, `B` test images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from edgewright.converters.errors import ParityError
from edgewright.converters.parity import Difference, differences
from edgewright.converters.precision import Precision
from edgewright.device_agent.timing import TimingProtocol
from numpy.typing import NDArray

from ..costs import Cost
from ..devices.session.jobs import MeasureJob
from ..errors import MeasurementError
from ..profiling.records import Measurement
from ..tasks.domain import Examples, ScoreName
from .reference import Reference

PROTOCOL = TimingProtocol(n_runs=100, min_time_ms=100.0)
N_MEASUREMENTS = 3
# As a share of the largest output. int8 clips values beyond its calibration, and is judged by its answers.
PARITY_TOLERANCE = {Precision.FLOAT32: 1e-3, Precision.FLOAT16: 1e-2, Precision.INT8: math.inf}
MAX_RMS = 0.5  # of the output: the limit for an int8 model without a score
MAX_LOSS = 0.02  # of the score: how much a quantised model may lose against float32
_REPLY_BYTES = 32 << 20
_REQUEST_MS = 20e3  # of computing: a third of the time limit of a request


class VerifyingSession(Protocol):
    """What verifying needs of a device."""

    def put_blob(self, data: bytes) -> str: ...

    def measure(self, job: MeasureJob, protocol: TimingProtocol) -> dict[str, Any]: ...

    def run_each(self, job: MeasureJob, inputs: Sequence[NDArray[Any]]) -> tuple[NDArray[Any], ...]: ...


@dataclass(frozen=True)
class Scores:
    """How good a model's answers on the device are, beside those of float32 torch to the same test images;
    `agreement` is the share of equal answers."""

    name: ScoreName
    on_device: float
    in_torch: float
    agreement: float
    n_images: int

    def to_json(self) -> dict[str, Any]:
        """Under the domain's own name of the score."""
        return {
            self.name.key: self.on_device,
            f"torch_{self.name.key}": self.in_torch,
            "agreement": self.agreement,
            "n_images": self.n_images,
        }


@dataclass(frozen=True)
class Verification:
    """What the device showed, beside float32 torch: `parity_max_abs` is the largest difference of an output for the
    same `n_compared` sets of inputs. `scores` is None where nothing says which answers are right."""

    cost: Cost
    latency_spread_ms: tuple[float, float]
    parity_max_abs: float
    n_compared: int
    model_sha256: str
    scores: Scores | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "cost": self.cost.to_json(),
            "latency_spread_ms": self.latency_spread_ms,
            "parity_max_abs": self.parity_max_abs,
            "n_compared": self.n_compared,
            "model_sha256": self.model_sha256,
            **({} if self.scores is None else self.scores.to_json()),
        }


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


def verify(
    session: VerifyingSession,
    content: bytes,
    reference: Reference,
    *,
    precision: Precision = Precision.FLOAT32,
    examples: Examples | None = None,
    on_measured: Callable[[list[Measurement]], None] = lambda measurements: None,
) -> Verification:
    """Measure `content` on the device and compare its outputs there with those of the reference.

    Args:
        examples: the right answers to the reference's inputs, which are their images; both sides get a score.
        on_measured: receives the measurements before anything else is done with them.

    Raises `MeasurementError` when the device cannot run it, or computes something else than torch does: beyond
    rounding in float32 and float16, and in every precision with a score that is more than `MAX_LOSS` less. Without
    `examples`, an int8 output may be off by `MAX_RMS` of its own size.
    """
    sha, measurements = measure_model(session, content)
    on_measured(measurements)
    on_device = _run(session, sha, reference, median_latency_ms(measurements))
    difference = _checked_difference(on_device, reference, precision, judged=examples is not None)
    scores = None if examples is None else _checked_scores(on_device, reference, examples, precision)
    latencies = [m.latency_ms for m in measurements if m.latency_ms is not None]
    return Verification(
        cost=cost_of(measurements, len(content)),
        latency_spread_ms=(min(latencies), max(latencies)),
        parity_max_abs=difference,
        n_compared=reference.n,
        model_sha256=sha,
        scores=scores,
    )


def _run(session: VerifyingSession, sha: str, reference: Reference, latency_ms: float) -> tuple[NDArray[Any], ...]:
    """The outputs for all sets of inputs, in requests of limited time and reply size."""
    nbytes = sum(values[:1].nbytes for values in reference.outputs)
    step = max(1, min(_REPLY_BYTES // nbytes, int(_REQUEST_MS / latency_ms)))
    parts = [
        session.run_each(MeasureJob(model_sha=sha), [values[start : start + step] for values in reference.inputs])
        for start in range(0, reference.n, step)
    ]
    return tuple(np.concatenate(outputs) for outputs in zip(*parts, strict=True))


def _checked_difference(
    on_device: Sequence[NDArray[Any]], reference: Reference, precision: Precision, judged: bool
) -> float:
    """The largest difference of an output."""
    try:
        apart = differences(reference.outputs, on_device)
    except ParityError as error:
        raise MeasurementError(f"the device's outputs do not match torch's: {error}") from error
    for index, each in enumerate(apart):
        if not math.isfinite(each.max_abs) or not each.within(PARITY_TOLERANCE[precision]):
            where = f" at output {index}" if len(apart) > 1 else ""
            raise MeasurementError(
                f"the device's answers differ from torch's by up to {each.max_abs:.3g}{where} (largest output "
                f"{each.largest:.3g}); its runtime computes this model wrongly: try another runtime version"
            )
        if precision is Precision.INT8 and not judged:
            _check_int8(each, index)
    return max(each.max_abs for each in apart)


def _check_int8(difference: Difference, index: int) -> None:
    off = difference.unequal if difference.whole else difference.rms
    if off > MAX_RMS:
        raise MeasurementError(
            f"in int8, output {index} is off by {off:.0%} of its size on the device, and at most {MAX_RMS:.0%} are "
            "accepted: calibrate on more of what the model will see, or use `precision` float16"
        )


def _checked_scores(
    on_device: Sequence[NDArray[Any]], reference: Reference, examples: Examples, precision: Precision
) -> Scores:
    """One wrong image among a few does not count as a loss yet."""
    ours, torchs = (outputs[0].reshape(-1, *outputs[0].shape[2:]) for outputs in (on_device, reference.outputs))
    name, n_images = examples.score_name, len(examples.images)
    scores = Scores(name, examples.score(ours), examples.score(torchs), examples.agreement(ours, torchs), n_images)
    lost = scores.in_torch - scores.on_device
    finer = Precision.FLOAT16 if precision is Precision.INT8 else Precision.FLOAT32
    if lost > max(1 / n_images, MAX_LOSS) + 1e-9:
        raise MeasurementError(
            f"the {precision} model reaches {name.title} {scores.on_device:.1%} on {n_images} test images on the "
            f"device, {100 * lost:.1f} points less than in float32 ({scores.in_torch:.1%}), and at most "
            f"{100 * MAX_LOSS:g} are accepted: use `precision` {finer}"
        )
    return scores
