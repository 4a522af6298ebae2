"""The hooks of a training run: checkpoints, early stop, lower rates on a plateau, and progress.

Evaluation, averaged weights and metrics are hooks in files of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from .evaluation import Evaluation
from .loop import Hook, Loop


class Checkpoints(Hook):
    """Writes the run to `folder` every `every_s` seconds and at the end of each stage, in the first process."""

    name = "checkpoints"

    def __init__(self, folder: Path, every_s: float, settings: Mapping[str, Any]) -> None:
        self.folder, self.every_s, self.settings = folder, every_s, settings
        self._saved = time.monotonic()

    def before_stage(self, loop: Loop) -> None:
        self._saved = time.monotonic()

    def after_step(self, loop: Loop) -> None:
        due = loop.ends or time.monotonic() - self._saved > self.every_s
        if due and loop.workers.is_first:
            loop.checkpoint(self.settings).save(self.folder)
            self._saved = time.monotonic()


class EarlyStop(Hook):
    """Ends stages after some evaluations without a better one.

    Args:
        patience: that many evaluations; 0 never ends one.
        stages: those that end; one that follows the evaluated stage is left out altogether.
    """

    name = "early stop"

    def __init__(self, evaluation: Evaluation, patience: int, stages: Sequence[str]) -> None:
        self.evaluation, self.patience, self.stages = evaluation, patience, tuple(stages)
        self.out_of_patience = False

    def before_stage(self, loop: Loop) -> None:
        if self.out_of_patience and loop.stage.name in self.stages:
            loop.stop()

    def after_step(self, loop: Loop) -> None:
        if loop.validation is not None and 0 < self.patience <= self.evaluation.since_best:
            self.out_of_patience = True
            loop.stop()

    def state_dict(self) -> dict[str, Any]:
        return {"out_of_patience": self.out_of_patience}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.out_of_patience = state["out_of_patience"]


class DropOnPlateau(Hook):
    """When evaluations stop improving, continues from the best weights at a lower rate, and finally ends the stage.

    Args:
        patience: evaluations without a better one.
        drops: how often the rate falls, by `factor`; at the plateau after the last the stage ends.
    """

    name = "drop on plateau"

    def __init__(self, evaluation: Evaluation, patience: int, drops: int, factor: float = 0.1) -> None:
        self.evaluation, self.patience, self.drops, self.factor = evaluation, patience, drops, factor
        self.dropped = 0

    @property
    def is_flat(self) -> bool:
        """Whether no rate helps any more."""
        return self.dropped > self.drops

    def before_stage(self, loop: Loop) -> None:
        if loop.step == 0:
            self.dropped = 0
        if self.is_flat:
            loop.stop()

    def before_step(self, loop: Loop) -> None:
        for optimizer in loop.optimizers:
            for group in optimizer.param_groups:
                for _ in range(self.dropped):
                    group["lr"] *= self.factor

    def after_step(self, loop: Loop) -> None:
        if loop.validation is None or self.evaluation.since_best < self.patience:
            return
        self.dropped += 1
        self.evaluation.return_to_best(loop)
        if self.is_flat:
            loop.stop()

    def state_dict(self) -> dict[str, Any]:
        return {"dropped": self.dropped}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.dropped = state["dropped"]


@dataclass(frozen=True)
class Progress:
    """Where a run is after a step. `loss` and `score` are None where the step gave none; to read them is to wait for
    the GPU, so that reading them at every step leaves it idle."""

    stage: str
    step: int
    total: int
    loss_and_score: tuple[Tensor, Tensor] | None

    @property
    def loss(self) -> float | None:
        return None if self.loss_and_score is None else self.loss_and_score[0].item()

    @property
    def score(self) -> float | None:
        return None if self.loss_and_score is None else self.loss_and_score[1].item()


class Reports(Hook):
    """Tells `on_progress` after every step, in the first process."""

    name = "reports"

    def __init__(self, on_progress: Callable[[Progress], None]) -> None:
        self.on_progress = on_progress

    def after_step(self, loop: Loop) -> None:
        if loop.workers.is_first:
            step_loss = loop.losses[0]
            known = None if step_loss is None else (step_loss.loss, step_loss.score)
            self.on_progress(Progress(loop.stage.name, loop.step, loop.stage.steps, known))
