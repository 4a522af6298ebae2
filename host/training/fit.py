"""One model for one task, trained in the ordinary way: what customising without training is compared with.

Training continues until the model stops improving. When the loss on validation images has not fallen for `patience`
evaluations, the learning rate drops to a tenth; after the last drop and its patience, the best weights are the result.
The loss is used because validation images made of few digits are soon all answered correctly.
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
from .ahead import Ahead
from .averaging import Averaging
from .checkpoint import FILE_NAME, Checkpoint
from .compute import Compute, choose_device
from .evaluation import Evaluation, Quality
from .hooks import Checkpoints, DropOnPlateau, Progress, Reports
from .loop import Loop, Modules, Stage, StepLoss, Update
from .objective import Batch, BatchSource, Drawn, Objective, Sampling, Scored
from .rng import JOINT
from .scoring import SLICE
from .settings import TrainingSettings

Loss = Callable[[Tensor, Any], Scored]

STAGE, MODEL = "fit", "model"
"""The names of the only stage and of the module."""


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

    `settings` are those of any run; `evaluate_every` and `patience` are `until`'s. With a `folder`, a fit that was
    interrupted continues when it is started again.
    """

    sampling: Sampling
    settings: TrainingSettings
    until: UntilFlat
    folder: Path | None = None
    on_progress: Callable[[Progress], None] = lambda progress: None


def fit_task(model: nn.Module, task: Task, objective: Objective, fit: Fit) -> Fitted:
    """Teach `model` (in place) one task, on batches of that task alone.

    Raises `InputError` where the images do not cover it, and where `fit.folder` holds another unfinished training.
    """
    fit = replace(fit, sampling=replace(fit.sampling, augmented_share=0.0))
    held = objective.validation(fit.sampling, fit.until.n_images, task)
    return _fit(model, objective.source(fit.sampling, [task]), held, objective.task_loss, fit, str(task))


def fit_all(model: nn.Module, objective: Objective, fit: Fit) -> Fitted:
    """Teach `model` (in place), which has `n_pretrain_outputs`, what all tasks ask about. Raises as `fit_task` does."""
    held = objective.validation(fit.sampling, fit.until.n_images)
    return _fit(model, objective.source(fit.sampling), held, objective.pretrain_loss, fit, None)


def _fit(model: nn.Module, source: BatchSource, held: Batch, loss: Loss, fit: Fit, task: str | None) -> Fitted:
    settings, until = fit.settings, fit.until
    compute = settings.compute(choose_device(settings.device))
    facts = _facts(fit, task)
    evaluation = _evaluation(held.to(compute.device, compute.dtype), loss, fit)
    plateau = DropOnPlateau(evaluation, until.patience, until.drops)
    hooks = [
        *([evaluation.averaging] if evaluation.averaging else []),
        evaluation,
        plateau,
        *([Checkpoints(fit.folder, settings.checkpoint_every_s, facts)] if fit.folder else []),
        Reports(fit.on_progress),
    ]
    with settings.ahead(compute.device) as ahead:
        loop = Loop(
            {MODEL: compute.to_device(model)}, [_stage(source, loss, fit, compute, ahead)], hooks, compute,
            seed=settings.seed, resumed=_resumed(fit.folder, facts),
        )  # fmt: skip
        loop.run()
    score = evaluation.best.score if evaluation.best else 0.0
    return Fitted(compute.deliver(model), score, loop.step, loop.elapsed_s, plateau.is_flat)


def _stage(source: BatchSource, loss: Loss, fit: Fit, compute: Compute, ahead: Ahead) -> Stage:
    def finish(drawn: Drawn) -> Batch:
        return drawn.to(compute.device, compute.dtype)

    def updates(modules: Modules) -> list[Update]:
        batches = ahead.steps(lambda step: source.draw(JOINT, step), finish, fit.until.max_steps)

        def learn(step: int) -> StepLoss:
            batch = batches(step)
            result = loss(compute.forward(modules[MODEL], batch.images), batch)
            return StepLoss(result.loss, result.loss.detach(), result.score)

        return [Update({MODEL: fit.until.lr}, learn, weight_decay=fit.settings.weight_decay)]

    return Stage(STAGE, fit.until.max_steps, updates)


def _evaluation(held: Batch, loss: Loss, fit: Fit) -> Evaluation:
    averaging = Averaging(fit.settings.averaging) if fit.settings.averaging else None
    return Evaluation(
        lambda modules: quality(modules[MODEL], held, loss), fit.until.evaluate_every, [STAGE], by="loss",
        at_end=False, averaging=averaging,
    )  # fmt: skip


def _facts(fit: Fit, task: str | None) -> dict[str, Any]:
    """What makes two fits the same; who draws their batches does not."""
    training = asdict(fit.settings)
    del training["batch_workers"]
    return {
        "task": task,
        "sampling": asdict(fit.sampling),
        "training": training,
        "until": asdict(fit.until),
    }


def _resumed(folder: Path | None, facts: dict[str, Any]) -> Checkpoint | None:
    """The checkpoint of this very fit, if there is one."""
    if folder is None or not Checkpoint.exists(folder):
        return None
    checkpoint = Checkpoint.load(folder)
    if checkpoint.settings != facts:
        raise InputError(
            f"{folder / FILE_NAME} belongs to a training with other settings; remove it to start this one, or start "
            "that one again to finish it"
        )
    return checkpoint


@torch.inference_mode()
def quality(model: nn.Module, batch: Batch, loss: Loss) -> Quality:
    """Of the model in evaluation mode."""
    model.eval()
    outputs = torch.cat([model(part) for part in batch.images.split(SLICE)])
    result = loss(outputs.float(), batch)
    return Quality(float(result.score), float(result.loss))
