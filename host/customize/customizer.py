"""A scenario in, an artifact out: ask the assembler, predict, slice, push, measure, step down if the device says no."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from edgewright.converters.precision import Precision
from edgewright.device_agent.template import Template

from ..assembler.archive import TrainedSupernet
from ..costs import Budget, Cost, CostModel, Estimate
from ..delivery.quantization import Quantization
from ..delivery.verification import Verification, VerifyingSession, cost_of, measure_model, verify
from ..errors import BudgetError, InputError
from ..files import write_atomic
from ..gates import Gates
from ..profiling.records import Measurement
from ..tasks import Task
from ..tasks.domain import TaskDomain
from .algorithm1 import Candidate, Candidates, ask_all_limits, corrected
from .artifact import Artifact, write_manifest
from .fill import allowed_by, fill
from .scenario import Scenario

MAX_TRIES = 6
N_TEST_IMAGES = 500


class DeliveringSession(VerifyingSession, Protocol):
    """What customising needs of a device."""

    def facts(self) -> dict[str, Any]: ...

    def deliver(self, sha256: str, name: str) -> dict[str, Any]: ...


Keep = Callable[[Scenario, Candidate, Sequence[Measurement]], None]
"""Gets what every model measured on the device, before anything else is done with it."""


def _forget(scenario: Scenario, candidate: Candidate, measurements: Sequence[Measurement]) -> None:
    """For who keeps no store."""


@dataclass(frozen=True)
class Draft:
    """A candidate's model, in memory and as a file of the workspace."""

    candidate: Candidate
    content: bytes
    path: Path
    float32_bytes: int  # before it was quantised


@dataclass(frozen=True)
class Customizer:
    """All that stays the same between scenarios on one device. With a `quantization`, `predict` predicts what models
    cost in that precision."""

    trained: TrainedSupernet
    template: Template  # float32: of it models are cut
    predict: CostModel
    domain: TaskDomain  # whose test images models are judged by
    artifacts: Path
    seed: int = 0
    n_test_images: int = N_TEST_IMAGES
    fills: bool = True  # spend what Algorithm 1 leaves of a budget
    keep: Keep = _forget
    refit: Callable[[], CostModel] | None = None  # asked after a miss, when `keep` has had it
    quantization: Quantization | None = None

    def __post_init__(self) -> None:
        if self.n_test_images < 1:
            raise InputError(f"a model is tested on at least one image, got {self.n_test_images}")

    @property
    def precision(self) -> Precision:
        return Precision.FLOAT32 if self.quantization is None else self.quantization.precision

    def draft(self, task: Task, budget: Budget) -> tuple[Candidates, Draft]:
        """The largest subnet predicted to fit, filled up to the budget, as a file. No device takes part: this is the
        time a user waits. Where none is predicted to fit, the one that comes closest.
        """
        model = self._cost_model(budget, self.predict)
        candidates = ask_all_limits(self.trained.assembler, task, model)
        fitting = candidates.fitting(budget)
        chosen = self._filled(fitting[0], candidates, budget, model) if fitting else candidates.cheapest(budget)
        return candidates, self._write(chosen)

    def customize(
        self,
        scenario: Scenario,
        out: Path,
        session: DeliveringSession,
        *,
        push: bool = False,
        on_status: Callable[[str], None] = lambda sentence: None,
    ) -> Artifact:
        """Draft, verify on the device, deliver to `out`.

        Raises:
            BudgetError: no subnet met the budget on the device; nothing is written to `out`.
            MeasurementError: the device cannot run the model, or computes something else than torch.
        """
        started = time.perf_counter()
        candidates, draft = self.draft(scenario.task, scenario.budget)
        customize_s = time.perf_counter() - started
        examples = self.domain.examples(
            scenario.task, "test", self.n_test_images, np.random.default_rng(self.seed)
        )  # fmt: skip
        seen: list[tuple[Draft, Verification]] = []
        while True:
            subnet = self.trained.supernet.extract(draft.candidate.gates)
            keep = partial(self.keep, scenario, draft.candidate)
            seen.append((draft, verify(session, draft.content, subnet, examples, keep, self.precision)))
            if scenario.budget.fits(seen[-1][1].cost):
                break
            following = self._step_down(scenario, seen) if len(seen) < MAX_TRIES else None
            if following is None:
                raise self._impossible(scenario, candidates, seen, session)
            on_status(_miss_sentence(scenario.budget, draft, seen[-1][1]))
            draft = self._write(following)
        write_atomic(out, draft.content)
        artifact = Artifact(
            scenario=scenario,
            candidate=draft.candidate,
            verification=seen[-1][1],
            path=out,
            size_bytes=len(draft.content),
            customize_s=customize_s,
            total_s=time.perf_counter() - started,
            tries=len(seen),
            float32_bytes=draft.float32_bytes,
            precision=self.precision,
        )
        write_manifest(artifact, self._manifest(artifact, session))
        if push:
            delivered = session.deliver(artifact.verification.model_sha256, out.name)
            artifact = replace(artifact, device_path=delivered["path"])
        return artifact

    def _manifest(self, artifact: Artifact, session: DeliveringSession) -> dict[str, Any]:
        template_sha256 = hashlib.sha256(self.template.to_bytes()).hexdigest()
        manifest = artifact.manifest(self.trained.digest, template_sha256, session.facts(), self.seed)
        manifest["outputs"] = self.domain.describe(artifact.scenario.task)
        if self.quantization is not None:
            profiled = hashlib.sha256(self.quantization.template.to_bytes()).hexdigest()
            manifest["hashes"]["profiled_template_sha256"] = profiled
            manifest |= self.quantization.to_json()
        return manifest

    def _step_down(self, scenario: Scenario, seen: Sequence[tuple[Draft, Verification]]) -> Candidate | None:
        """The largest smaller subnet that is predicted to fit once predictions are scaled by what was measured."""
        budget, last = scenario.budget, seen[-1][0].candidate.gates.ratio
        fitted = self._cost_model(budget, self.predict if self.refit is None else self.refit())
        model = _scaled(fitted, _correction(fitted, seen))
        candidates = ask_all_limits(self.trained.assembler, scenario.task, model)
        smaller = [candidate for candidate in candidates.fitting(budget) if candidate.gates.ratio < last]
        if not smaller:
            return None
        filled = self._filled(smaller[0], candidates, budget, model)
        return filled if filled.gates.ratio < last else smaller[0]

    def _filled(self, candidate: Candidate, candidates: Candidates, budget: Budget, model: CostModel) -> Candidate:
        if not self.fills:
            return candidate
        weights = self.trained.assembler.weights([candidate.request])[0].double().numpy()  # (N,)
        gates = fill(candidate.gates, weights, allowed_by(candidates), budget, model)
        return replace(candidate, gates=gates, estimate=model([gates])[0], filled=gates != candidate.gates)

    def _cost_model(self, budget: Budget, predict: CostModel) -> CostModel:
        """Predicted latency and memory; the file size too where the budget asks for it: exact in float32, and in other
        precisions at most the padding of the template's slices too much."""
        if budget.size_mib is None:
            return predict
        template = self.template if self.quantization is None else self.quantization.template
        sizes: dict[tuple[int, ...], float] = {}

        def size_mib(gates: Gates) -> float:
            if gates.counts not in sizes:
                sizes[gates.counts] = len(template.emit(gates.pack())) / 2**20
            return sizes[gates.counts]

        def with_size(gates: Sequence[Gates]) -> list[Estimate]:
            return [_with_size(e, size_mib(item)) for e, item in zip(predict(gates), gates, strict=True)]

        return with_size

    def _write(self, candidate: Candidate) -> Draft:
        content = float32 = self.template.emit(candidate.gates.pack()).tobytes()
        name = f"{self.trained.digest}-{candidate.gates.digest}"
        if self.quantization is not None:
            content = self.quantization.quantize(float32, candidate.request.task)
            name += f"-{self.precision}"
        path = self.artifacts / f"{name}.tflite"
        write_atomic(path, content)
        known = replace(candidate, estimate=_with_size(candidate.estimate, len(content) / 2**20))
        return Draft(known, content, path, len(float32))

    def _impossible(
        self,
        scenario: Scenario,
        candidates: Candidates,
        seen: list[tuple[Draft, Verification]],
        session: DeliveringSession,
    ) -> BudgetError:
        """The sentence for a budget nothing meets, with the fastest and the smallest subnet measured on the device."""
        measured = [verification.cost for _, verification in seen]
        for name in ("latency_ms", "memory_mib"):
            draft = self._write(candidates.least(name))
            _, measurements = measure_model(session, draft.content)
            self.keep(scenario, draft.candidate, measurements)
            measured.append(cost_of(measurements, len(draft.content)))
        fastest = min(cost.latency_ms for cost in measured if cost.latency_ms is not None)
        memories = [cost.memory_mib for cost in measured if cost.memory_mib is not None]
        smallest = f"{min(memories):.2f} MiB" if memories else "of unknown memory"
        return BudgetError(
            f"no subnet for '{scenario.task}' meets {scenario.budget} on {scenario.device!r}; "
            f"the fastest seen there took {fastest:.3f} ms, the smallest {smallest}: ask for no less than that"
        )


def _correction(model: CostModel, seen: Sequence[tuple[Draft, Verification]]) -> Cost:
    """Measured over predicted, the worst of all tries."""
    estimates = model([draft.candidate.gates for draft, _ in seen])
    tries = [(verification.cost, each.predicted) for (_, verification), each in zip(seen, estimates, strict=True)]
    worst = {}
    for name in asdict(tries[0][0]):
        ratios = [_ratio(getattr(measured, name), getattr(predicted, name)) for measured, predicted in tries]
        worst[name] = max((ratio for ratio in ratios if ratio is not None), default=None)
    return Cost(**worst)


def _scaled(model: CostModel, correction: Cost) -> CostModel:
    def scaled(gates: Sequence[Gates]) -> list[Estimate]:
        return [
            replace(each, predicted=corrected(each.predicted, correction), upper=corrected(each.upper, correction))
            for each in model(gates)
        ]

    return scaled


def _with_size(estimate: Estimate, size_mib: float) -> Estimate:
    predicted, upper = (replace(cost, size_mib=size_mib) for cost in (estimate.predicted, estimate.upper))
    return replace(estimate, predicted=predicted, upper=upper)


def _ratio(measured: float | None, predicted: float | None) -> float | None:
    if measured is None or not predicted or not math.isfinite(predicted):
        return None
    return measured / predicted


def _miss_sentence(budget: Budget, draft: Draft, verification: Verification) -> str:
    misses = ", ".join(f"{name} by {100 * (f - 1):.1f} %" for name, f in budget.misses(verification.cost).items())
    return f"the device says no at limit {draft.candidate.request.limit:.0%} ({misses} over); stepping down"
