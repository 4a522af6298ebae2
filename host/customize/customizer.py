"""From a scenario to an artifact: choose, cut, measure on the device, step down after a miss, deliver."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from edgewright.converters.precision import Precision
from edgewright.device_agent.template import Template

from ..assembler.archive import TrainedSupernet
from ..costs import Budget, CostModel
from ..delivery.handover import DeliveringSession, Delivery, hand_over
from ..delivery.quantization import Quantization
from ..delivery.verification import Verification
from ..errors import InputError
from ..tasks import Task
from ..tasks.domain import TaskDomain
from ..threads import one_thread
from .algorithm1 import Candidate, Candidates
from .artifact import Artifact
from .choice import Choice, Try, sized
from .drafts import Draft, Drafter
from .scenario import Scenario
from .trials import Keep, Trials, keep_nothing

MAX_TRIES = 6
N_TEST_IMAGES = 500


@dataclass(frozen=True)
class Customizer:
    """All that stays the same between scenarios on one device. With a `quantization`, `predict` predicts what models
    cost in that precision."""

    trained: TrainedSupernet
    template: Template  # in float32: models are cut out of it
    predict: CostModel
    domain: TaskDomain  # whose test images models are judged by
    artifacts: Path
    seed: int = 0
    n_test_images: int = N_TEST_IMAGES
    fills: bool = True  # spend what Algorithm 1 leaves of a budget
    keep: Keep = keep_nothing
    refit: Callable[[], CostModel] | None = None  # asked after a miss, when `keep` has had it
    quantization: Quantization | None = None

    def __post_init__(self) -> None:
        if self.n_test_images < 1:
            raise InputError(f"a model is tested on at least one image, got {self.n_test_images}")

    @one_thread()
    def draft(self, task: Task, budget: Budget) -> tuple[Candidates, Draft]:
        """The first choice as a file. No device takes part: this is the time a user waits."""
        choice = self._choice(task, budget, self.predict)
        return choice.candidates, self.drafter(task).draft(choice.first())

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
        trials, drafter = self._trials(scenario, session), self.drafter(scenario.task)
        verified = trials.verify(draft)
        while not scenario.budget.fits(verified.cost):
            smaller = self._step_down(scenario, trials.tries)
            if smaller is None:
                least = (candidates.least(name) for name in ("latency_ms", "memory_mib"))
                raise trials.impossible(map(drafter.draft, least))
            on_status(trials.sentence())
            draft = drafter.draft(smaller)
            verified = trials.verify(draft)
        delivery = self._delivery(scenario, draft, verified, out, session)
        total_s = time.perf_counter() - started
        artifact = Artifact(scenario, draft.candidate, delivery, customize_s, total_s, len(trials.tries))
        delivery = hand_over(delivery, draft.content, session, self._manifest(artifact), push=push)
        return replace(artifact, delivery=delivery)

    def drafter(self, task: Task) -> Drafter:
        outputs = self.domain.outputs(task)
        return Drafter(self.template, self.artifacts, self.trained.digest, self.quantization, outputs)

    @property
    def precision(self) -> Precision:
        return Precision.FLOAT32 if self.quantization is None else self.quantization.precision

    def _choice(self, task: Task, budget: Budget, predict: CostModel) -> Choice:
        """File sizes are predicted where the budget bounds them."""
        if budget.size_mib is not None:
            predict = sized(predict, self.drafter(task).size_mib)
        return Choice(self.trained.assembler, task, budget, predict, self.fills)

    @one_thread()
    def _step_down(self, scenario: Scenario, tries: Sequence[Try]) -> Candidate | None:
        if len(tries) == MAX_TRIES:
            return None
        predict = self.predict if self.refit is None else self.refit()
        return self._choice(scenario.task, scenario.budget, predict).following(tries)

    def _trials(self, scenario: Scenario, session: DeliveringSession) -> Trials:
        rng = np.random.default_rng(self.seed)
        examples = self.domain.examples(scenario.task, "test", self.n_test_images, rng)
        outputs = self.domain.outputs(scenario.task)
        return Trials(scenario, session, self.trained.supernet, examples, self.precision, self.keep, outputs)

    def _delivery(
        self, scenario: Scenario, draft: Draft, verified: Verification, out: Path, session: DeliveringSession
    ) -> Delivery:
        return Delivery(
            purpose=str(scenario.task),
            device=scenario.device,
            facts=session.facts(),
            precision=self.precision,
            budget=scenario.budget,
            verification=verified,
            path=out,
            size_bytes=len(draft.content),
            float32_bytes=draft.float32_bytes,
        )

    def _manifest(self, artifact: Artifact) -> dict[str, Any]:
        manifest = artifact.manifest(self.trained.digest, _sha256(self.template), self.seed)
        manifest["outputs"] = self.domain.describe(artifact.scenario.task)
        if self.quantization is not None:
            manifest["hashes"]["profiled_template_sha256"] = _sha256(self.quantization.template)
            manifest |= self.quantization.to_json()
        return manifest


def _sha256(template: Template) -> str:
    return hashlib.sha256(template.to_bytes()).hexdigest()
