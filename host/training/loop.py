"""One training run as it goes: what it holds, the steps of a stage, its best state and its checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..assembler.archive import TrainedSupernet
from ..assembler.assembler import Assembler
from ..assembler.joint.recipe import Recipe
from ..assembler.joint.stages import Losses
from ..assembler.scoring import validation_score
from ..supernet.supernet import Supernet
from .checkpoint import Best, Checkpoint
from .metrics import MetricsLog, MetricsRow
from .objective import Batch, BatchSource, Objective
from .schedule import one_cycle
from .workers import Workers

VALIDATION_LIMIT = 0.2
_REPORT_EVERY = 50
_LARGEST_GRADIENT = 5.0


@dataclass(frozen=True)
class Progress:
    """Where a run is; given to the `on_progress` of `train` after every step, in its first process."""

    stage: str
    step: int
    total: int
    loss: float
    score: float


@dataclass(frozen=True)
class Stage:
    """One stage: its steps, what is learnt and how fast, and the loss of a step."""

    name: str
    steps: int
    parameters: Sequence[Sequence[nn.Parameter]]
    peak_lrs: Sequence[float]
    losses: Callable[[int], Losses]


@dataclass
class Run:
    """What one run holds while it runs."""

    recipe: Recipe
    folder: Path
    objective: Objective
    workers: Workers
    source: BatchSource
    supernet: Supernet
    assembler: Assembler
    log: MetricsLog | None  # of the first process
    on_progress: Callable[[Progress], None]
    elapsed_before_s: float
    started: float
    best: Best | None = None
    evaluations_since: int = 0  # the best one

    @property
    def elapsed_s(self) -> float:
        return self.elapsed_before_s + time.monotonic() - self.started

    def batch(self, stage: str, step: int) -> Batch:
        """This process's part of a step's batch, on its device."""
        part = self.workers.part(self.recipe.batch_size)
        return self.source.draw(stage, step, part).to(self.workers.device, self.recipe.dtype)

    def learn(self, stage: Stage, checkpoint: Checkpoint | None) -> None:
        """All steps of a stage, from where the checkpoint left off, or until patience is at its end."""
        groups = [{"params": list(parameters)} for parameters in stage.parameters]
        optimizer = torch.optim.AdamW(groups, weight_decay=self.recipe.weight_decay)
        first = 0
        if checkpoint is not None:
            optimizer.load_state_dict(checkpoint.optimizer)
            first = checkpoint.step
        saved = time.monotonic()
        for step in range(first, stage.steps):
            if self._is_out_of_patience:  # it was before it was interrupted
                break
            losses = self._step(stage, step, optimizer)
            done = self._is_done(stage, step + 1, losses)
            if self.workers.is_first and (time.monotonic() - saved > self.recipe.checkpoint_every_s or done):
                self._checkpoint(stage.name, step + 1, optimizer)
                saved = time.monotonic()
            self._tell(stage, step + 1, losses)
            if done:
                break

    def return_to_best(self) -> None:
        """Load the weights of the best evaluation."""
        if self.best is not None:
            self.supernet.backbone.load_state_dict(self.best.backbone)
            self.assembler.load_state_dict(self.best.assembler)

    def _step(self, stage: Stage, step: int, optimizer: torch.optim.Optimizer) -> Losses:
        self.supernet.train()
        self.assembler.train()
        factor = one_cycle(step, stage.steps, self.recipe.warmup_share)
        for group, peak in zip(optimizer.param_groups, stage.peak_lrs, strict=True):
            group["lr"] = peak * factor
        with self.workers.synchronised():
            losses = stage.losses(step)
            optimizer.zero_grad(set_to_none=True)
            losses.total.backward()  # type: ignore[no-untyped-call]
        learnt = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        nn.utils.clip_grad_norm_(learnt, _LARGEST_GRADIENT)
        optimizer.step()
        return losses

    def _is_done(self, stage: Stage, done: int, losses: Losses) -> bool:
        """Log and evaluate where it is time to; whether the stage is at its end."""
        last = done == stage.steps
        evaluates = stage.name == "joint" and (done % self.recipe.evaluate_every == 0 or last)
        validation = self._evaluate(done) if evaluates else None
        if done % _REPORT_EVERY == 0 or last or evaluates:
            self._log(stage, done, losses, validation)
        return last or self._is_out_of_patience

    @property
    def _is_out_of_patience(self) -> bool:
        return 0 < self.recipe.patience <= self.evaluations_since

    def _evaluate(self, step: int) -> float:
        score = 0.0
        if self.workers.is_first:
            trained = TrainedSupernet(self.supernet, self.assembler, self.objective.domain.space, {})
            score = validation_score(trained, self.objective, VALIDATION_LIMIT, self.recipe.seed)
        score = self.workers.agreed(score)
        self.evaluations_since += 1
        if self.best is None or score >= self.best.accuracy:
            backbone, assembler = _copy(self.supernet.backbone), _copy(self.assembler)
            self.best, self.evaluations_since = Best(step, score, backbone, assembler), 0
        return score

    def _log(self, stage: Stage, done: int, losses: Losses, validation: float | None) -> None:
        values = torch.stack([losses.task, losses.gates, losses.ratio, losses.score])
        task, gates, ratio, score = self.workers.mean(values).tolist()
        if self.log is not None:
            factor = one_cycle(done - 1, stage.steps, self.recipe.warmup_share)
            self.log.add(
                MetricsRow(stage.name, done, task, gates, ratio, score, validation, factor, self.elapsed_s)
            )

    def _tell(self, stage: Stage, done: int, losses: Losses) -> None:
        if self.workers.is_first:
            self.on_progress(Progress(stage.name, done, stage.steps, losses.task.item(), losses.score.item()))

    def _checkpoint(self, stage: str, step: int, optimizer: torch.optim.Optimizer) -> None:
        backbone, assembler = self.supernet.backbone.state_dict(), self.assembler.state_dict()
        state = Checkpoint(
            self.recipe, stage, step, self.elapsed_s, backbone, assembler, optimizer.state_dict(),
            self.best, self.evaluations_since,
        )  # fmt: skip
        state.save(self.folder)


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}
