"""A scenario in, an artifact out: ask the assembler, predict, slice, push, measure, step down if the device says no."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from edgewright.device_agent.template import Template

from ..assembler.archive import TrainedSupernet
from ..errors import BudgetError, InputError
from ..files import write_atomic
from ..gates import Gates
from ..search.algorithm1 import Candidate, Candidates, ask_all_limits
from ..search.budget import CONFIDENCE, Budget, Cost, CostModel, Estimate
from ..tasks import Task, numvqa
from ..tasks.digits import Digits
from .artifact import Artifact, write_manifest
from .scenario import Scenario
from .verification import Verification, VerifyingSession, cost_of, measure_model, verify

MAX_TRIES = 6
N_TEST_IMAGES = 500


class DeliveringSession(VerifyingSession, Protocol):
    """What customising needs of a device."""

    def facts(self) -> dict[str, Any]: ...

    def deliver(self, sha256: str, name: str) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Draft:
    """A candidate's model, in memory and as a file of the workspace."""

    candidate: Candidate
    content: bytes
    path: Path


@dataclass(frozen=True)
class Customizer:
    """All that stays the same between scenarios on one device."""

    trained: TrainedSupernet
    template: Template
    predict: CostModel
    digits: Digits  # what accuracy is tested on
    artifacts: Path
    seed: int = 0
    n_test_images: int = N_TEST_IMAGES
    confidence: float = CONFIDENCE  # of the upper ends that `predict` gives

    def __post_init__(self) -> None:
        if self.n_test_images < 1:
            raise InputError(f"a model is tested on at least one image, got {self.n_test_images}")

    def draft(self, task: Task, budget: Budget) -> tuple[Candidates, Draft]:
        """The largest subnet predicted to fit, as a file. No device takes part: this is the time a user waits.

        Where none is predicted to fit, the one that comes closest.
        """
        candidates = ask_all_limits(self.trained.assembler, task, self._cost_model(budget))
        fitting = candidates.fitting(budget)
        return candidates, self._write(fitting[0] if fitting else candidates.cheapest(budget))

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
        examples = numvqa.examples(scenario.task, self.digits, self.n_test_images, np.random.default_rng(self.seed))
        seen: list[tuple[Draft, Verification]] = []
        while True:
            subnet = self.trained.supernet.extract(draft.candidate.gates)
            seen.append((draft, verify(session, draft.content, subnet, examples)))
            if scenario.budget.fits(seen[-1][1].cost):
                break
            following = _step_down(candidates, scenario.budget, seen)
            if following is None or len(seen) == MAX_TRIES:
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
            confidence=self.confidence,
        )
        template_sha256 = hashlib.sha256(self.template.to_bytes()).hexdigest()
        manifest = artifact.manifest(self.trained.digest, template_sha256, session.facts(), self.seed)
        write_manifest(artifact, manifest)
        if push:
            delivered = session.deliver(artifact.verification.model_sha256, out.name)
            artifact = replace(artifact, device_path=delivered["path"])
        return artifact

    def _cost_model(self, budget: Budget) -> CostModel:
        """Predicted latency and memory; the exact file size too where the budget asks for it."""
        if budget.size_mib is None:
            return self.predict

        def with_size(gates: Sequence[Gates]) -> list[Estimate]:
            sizes = [len(self.template.emit(item.pack())) / 2**20 for item in gates]
            return [_with_size(known, size) for known, size in zip(self.predict(gates), sizes, strict=True)]

        return with_size

    def _write(self, candidate: Candidate) -> Draft:
        content = self.template.emit(candidate.gates.pack()).tobytes()
        path = self.artifacts / f"{self.trained.digest}-{candidate.gates.digest}.tflite"
        write_atomic(path, content)
        known = replace(candidate, estimate=_with_size(candidate.estimate, len(content) / 2**20))
        return Draft(known, content, path)

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
            measured.append(cost_of(measurements, len(draft.content)))
        fastest = min(cost.latency_ms for cost in measured if cost.latency_ms is not None)
        memories = [cost.memory_mib for cost in measured if cost.memory_mib is not None]
        smallest = f"{min(memories):.2f} MiB" if memories else "of unknown memory"
        return BudgetError(
            f"no subnet for '{scenario.task}' meets {scenario.budget} on {scenario.device!r}; "
            f"the fastest seen there took {fastest:.3f} ms, the smallest {smallest}: ask for no less than that"
        )


def _step_down(
    candidates: Candidates, budget: Budget, seen: list[tuple[Draft, Verification]]
) -> Candidate | None:
    """The largest smaller candidate that is predicted to fit once predictions are scaled by what was measured."""
    draft, verification = seen[-1]
    predicted, measured = draft.candidate.predicted, verification.cost
    correction = Cost(
        **{name: _ratio(getattr(measured, name), value) for name, value in predicted.to_json().items()}
    )
    smaller = [c for c in candidates.fitting(budget, correction) if c.gates.ratio < draft.candidate.gates.ratio]
    return smaller[0] if smaller else None


def _with_size(estimate: Estimate, size_mib: float) -> Estimate:
    return Estimate(replace(estimate.predicted, size_mib=size_mib), replace(estimate.upper, size_mib=size_mib))


def _ratio(measured: float | None, predicted: float | None) -> float | None:
    if measured is None or not predicted or not math.isfinite(predicted):
        return None
    return measured / predicted


def _miss_sentence(budget: Budget, draft: Draft, verification: Verification) -> str:
    misses = ", ".join(f"{name} by {100 * (f - 1):.1f} %" for name, f in budget.misses(verification.cost).items())
    return f"the device says no at limit {draft.candidate.request.limit:.0%} ({misses} over); stepping down"
