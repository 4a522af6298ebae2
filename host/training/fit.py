"""One model for one task, trained in the ordinary way: what customising without training is compared with.

Trained until it stops improving: where the loss on validation images has not fallen for `patience` evaluations the
learning rate falls to a tenth, and after the last fall's patience the best weights are the result. The loss, because
validation images made of few digits are soon all answered right.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..assembler.joint.recipe import Recipe
from ..errors import InputError
from ..tasks import Task
from .objective import Batch, BatchSource, Objective, Scored

Loss = Callable[[Tensor, Any], Scored]

_DROP = 0.1
_SLICE = 500  # images in one forward pass of an evaluation


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
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Fitted:
    """A trained model, its score on validation images, and what it took. `flat` is false where `max_steps` ended it."""

    model: nn.Module
    accuracy: float
    steps: int
    train_s: float
    flat: bool


class Quality(NamedTuple):
    """On validation images."""

    loss: float
    score: float


def fit_task(model: nn.Module, task: Task, objective: Objective, recipe: Recipe, until: UntilFlat) -> Fitted:
    """Teach `model` (in place) one task, on the recipe's batches of that task alone."""
    recipe = replace(recipe, augmented_share=0.0)
    held = objective.validation(recipe, until.n_images, task)
    return _fit(model, objective.source(recipe, [task]), held, objective.task_loss, recipe, until)


def fit_all(model: nn.Module, objective: Objective, recipe: Recipe, until: UntilFlat) -> Fitted:
    """Teach `model` (in place), which has `n_pretrain_outputs`, what all tasks ask about."""
    held = objective.validation(recipe, until.n_images)
    return _fit(model, objective.source(recipe), held, objective.pretrain_loss, recipe, until)


def _fit(
    model: nn.Module, source: BatchSource, held: Batch, loss: Loss, recipe: Recipe, until: UntilFlat
) -> Fitted:
    started = time.perf_counter()
    model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=until.lr, weight_decay=recipe.weight_decay)
    best, state = Quality(math.inf, 0.0), copy.deepcopy(model.state_dict())
    since = drops = step = 0
    while step < until.max_steps and drops <= until.drops:
        _step(model, source.draw("joint", step), loss, optimizer, recipe)
        step += 1
        if step % until.evaluate_every:
            continue
        found = _quality(model, held, loss)
        since += 1
        if found.loss < best.loss:
            best, state, since = found, copy.deepcopy(model.state_dict()), 0
        if since == until.patience:
            since, drops = 0, drops + 1
            model.load_state_dict(state)
            for group in optimizer.param_groups:
                group["lr"] *= _DROP
    model.load_state_dict(state)
    model.to(memory_format=torch.contiguous_format).eval()
    return Fitted(model, best.score, step, time.perf_counter() - started, drops > until.drops)


def _step(
    model: nn.Module,
    batch: Batch,
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
) -> None:
    model.train()
    images = batch.images.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bfloat16"):
        outputs = model(images)
    optimizer.zero_grad(set_to_none=True)
    loss(outputs.float(), batch).loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()


@torch.inference_mode()
def _quality(model: nn.Module, batch: Batch, loss: Loss) -> Quality:
    """Of the model in evaluation mode."""
    model.eval()
    outputs = torch.cat([model(part) for part in batch.images.split(_SLICE)])
    found = loss(outputs.float(), batch)
    return Quality(float(found.loss), float(found.score))
