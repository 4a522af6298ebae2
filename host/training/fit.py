"""One model for one task, trained in the ordinary way: what customising without training is compared with.

Trained until it stops improving: where the loss on validation images has not fallen for `patience` evaluations the
learning rate falls to a tenth, and after the last fall's patience the best weights are the result. The loss, because
validation images made of few digits are soon all answered right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..tasks import Task
from .averaging import Averaging
from .checkpoint import FILE_NAME, Checkpoint
from .compute import choose_device
from .evaluation import Evaluation, Quality
from .hooks import Checkpoints, DropOnPlateau, Progress, Reports
from .loop import Hook, Loop, Modules, Stage, StepLoss, Update
from .objective import Batch, BatchSource, Objective, Sampling, Scored
from .rng import JOINT
from .scoring import SLICE
from .settings import TrainingSettings

Loss = Callable[[Tensor, Any], Scored]

STAGE = "fit"


@dataclass(frozen=True)
class UntilFlat:
    """When to evaluate, and when to end. `max_steps` is a bound that a run should not meet."""

    evaluate_every: int = 200
    patience: int = 4
    drops: int = 1
    max_steps: int = 4_000
    n_images: int = 400
    lr: float = 2e-3

    def __post_init__(self) -> None:
        for name in ("evaluate_every", "patience", "max_steps", "n_images"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` must be at least 1, got {getattr(self, name)}")
        if self.max_steps < self.evaluate_every:
            raise InputError(
                f"`max_steps` must be at least `evaluate_every`, or nothing is ever evaluated, got {self.max_steps} "
                f"and {self.evaluate_every}"
            )


@dataclass(frozen=True)
class Fitted:
    """A trained model, its score on validation images, and what it took. `flat` is false where `max_steps` ended it."""

    model: nn.Module
    accuracy: float
    steps: int
    train_s: float
    flat: bool


@dataclass(frozen=True)
class Fit:
    """How models are fitted: on which batches, with which settings, and until when.

    `settings` are those of any run; `evaluate_every` and `patience` are `until`'s. With a `folder` a fit that is
    interrupted goes on there when it is started again.
    """

    sampling: Sampling
    settings: TrainingSettings
    until: UntilFlat
    folder: Path | None = None
    on_progress: Callable[[Progress], None] = lambda progress: None


def fit_task(model: nn.Module, task: Task, objective: Objective, fit: Fit) -> Fitted:
    """Teach `model` (in place) one task, on batches of that task alone.

    Raises `InputError` where the images do not pose it, and where `fit.folder` holds another unfinished training.
    """
    fit = replace(fit, sampling=replace(fit.sampling, augmented_share=0.0))
    held = objective.validation(fit.sampling, fit.until.n_images, task)
    return _fit(model, objective.source(fit.sampling, [task]), held, objective.task_loss, fit, str(task))


def fit_all(model: nn.Module, objective: Objective, fit: Fit) -> Fitted:
    """Teach `model` (in place), which has `n_pretrain_outputs`, what all tasks ask about. Raises as `fit_task` does."""
    held = objective.validation(fit.sampling, fit.until.n_images)
    return _fit(model, objective.source(fit.sampling), held, objective.pretrain_loss, fit, None)


def _fit(model: nn.Module, source: BatchSource, held: Batch, loss: Loss, fit: Fit, task: str | None) -> Fitted:
    resumed, facts = _resumed(fit, task)
    settings, until = fit.settings, fit.until
    compute = settings.compute(choose_device(settings.device))
    held = held.to(compute.device, compute.dtype)

    def learn(step: int) -> StepLoss:
        batch = source.draw(JOINT, step).to(compute.device, compute.dtype)
        found = loss(compute.forward(model, batch.images), batch)
        return StepLoss(found.loss, found.loss.detach(), found.score)

    def updates(modules: Modules) -> list[Update]:
        return [Update({"model": until.lr}, learn, weight_decay=settings.weight_decay)]

    averaging = Averaging(settings.averaging) if settings.averaging else None
    evaluation = Evaluation(
        lambda modules: quality(model, held, loss), until.evaluate_every, [STAGE], by="loss", at_end=False,
        averaging=averaging,
    )  # fmt: skip
    plateau = DropOnPlateau(evaluation, until.patience, until.drops)
    hooks: list[Hook] = [*([averaging] if averaging else []), evaluation, plateau]
    if fit.folder is not None:
        hooks.append(Checkpoints(fit.folder, settings.checkpoint_every_s, facts))
    hooks.append(Reports(fit.on_progress))
    stage = Stage(STAGE, until.max_steps, updates)
    loop = Loop({"model": compute.place(model)}, [stage], hooks, compute, seed=settings.seed, resumed=resumed)
    loop.run()
    score = evaluation.best.score if evaluation.best else 0.0
    return Fitted(compute.deliver(model), score, loop.step, loop.elapsed_s, plateau.is_flat)


def _resumed(fit: Fit, task: str | None) -> tuple[Checkpoint | None, dict[str, Any]]:
    """The checkpoint of this very training, if there is one, and what its settings are."""
    facts = {
        "task": task,
        "sampling": asdict(fit.sampling),
        "training": asdict(fit.settings),
        "until": asdict(fit.until),
    }
    if fit.folder is None or not Checkpoint.exists(fit.folder):
        return None, facts
    found = Checkpoint.load(fit.folder)
    if found.settings != facts:
        raise InputError(
            f"{fit.folder / FILE_NAME} is of a training with other settings; remove it to start this one, or start "
            "that one again to finish it"
        )
    return found, facts


@torch.inference_mode()
def quality(model: nn.Module, batch: Batch, loss: Loss) -> Quality:
    """Of the model in evaluation mode."""
    model.eval()
    outputs = torch.cat([model(part) for part in batch.images.split(SLICE)])
    found = loss(outputs.float(), batch)
    return Quality(float(found.score), float(found.loss))
