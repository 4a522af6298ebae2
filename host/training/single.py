"""One model for one task, trained in the ordinary way: what customising without training is compared with.

Trained until it stops improving: where the loss on validation images has not fallen for `patience` evaluations the
learning rate falls to a tenth, and after the second fall's patience the best weights are the result. The loss, because
validation images made of few digits are soon all answered right.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from ..tasks import Task, numvqa
from ..tasks.digits import Digits, DigitSplits
from .batches import Batch, BatchSource
from .recipe import Recipe

_DROP = 0.1
_SLICE = 500  # images in one forward pass of an evaluation


@dataclass(frozen=True)
class UntilFlat:
    """When to evaluate, and when to end. `max_steps` is a bound that a run should not meet."""

    evaluate_every: int = 100
    patience: int = 4
    drops: int = 2
    max_steps: int = 20_000
    n_images: int = 500
    lr: float = 2e-3

    def __post_init__(self) -> None:
        for name in ("evaluate_every", "patience", "max_steps", "n_images"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Fitted:
    """A trained model, its validation accuracy, and what it took. `flat` is false where `max_steps` ended it."""

    model: nn.Module
    accuracy: float
    steps: int
    train_s: float
    flat: bool


class Quality(NamedTuple):
    """On validation images."""

    loss: float
    accuracy: float


def fit_task(model: nn.Module, task: Task, digits: DigitSplits, recipe: Recipe, until: UntilFlat) -> Fitted:
    """Teach `model` (in place) one task: `(B, 1, 56, 56)` -> `(B, 2)`, on the recipe's batches of that question."""
    source = BatchSource(replace(recipe, augmented_share=0.0), digits.train, [task])
    examples = numvqa.examples(task, digits.validation, until.n_images, np.random.default_rng([recipe.seed, 7]))
    images, answers = torch.from_numpy(examples.images), torch.from_numpy(examples.answers)

    def loss(batch: Batch, logits: Tensor) -> Tensor:
        return F.cross_entropy(logits, batch.answers)

    def quality() -> Quality:
        logits = _answers(model, images)
        right = (logits.argmax(1) == answers).float().mean()
        return Quality(float(F.cross_entropy(logits, answers)), float(right))

    return _fit(model, source, loss, quality, recipe, until)


def fit_counts(model: nn.Module, digits: DigitSplits, recipe: Recipe, until: UntilFlat) -> Fitted:
    """Teach `model` (in place) how often each digit occurs, `(B, 1, 56, 56)` -> `(B, 50)`: all tasks at once."""
    source = BatchSource(recipe, digits.train)
    held = BatchSource(replace(recipe, batch_size=until.n_images, digit_augmentation=False), digits.validation)
    validation = held.draw("pretrain", 0)

    def loss(batch: Batch, logits: Tensor) -> Tensor:
        counts = logits.unflatten(1, (10, -1))  # (B, 10, K)
        return F.cross_entropy(counts.flatten(0, 1), batch.digit_counts.flatten())

    def quality() -> Quality:
        logits = _answers(model, validation.images)  # (B, 50)
        counts = logits.unflatten(1, (10, -1)).argmax(2)  # (B, 10)
        right = (counts == validation.digit_counts).all(1).float().mean()
        return Quality(float(loss(validation, logits)), float(right))

    return _fit(model, source, loss, quality, recipe, until)


def task_accuracy(model: nn.Module, task: Task, digits: Digits, n_images: int, seed: int) -> float:
    """Share of right answers on images of `digits`."""
    examples = numvqa.examples(task, digits, n_images, np.random.default_rng(seed))
    found = _answers(model, torch.from_numpy(examples.images)).argmax(1).numpy()
    return float((found == examples.answers).mean())


def _fit(
    model: nn.Module,
    source: BatchSource,
    loss: Callable[[Batch, Tensor], Tensor],
    quality: Callable[[], Quality],
    recipe: Recipe,
    until: UntilFlat,
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
        found = quality()
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
    return Fitted(model, best.accuracy, step, time.perf_counter() - started, drops > until.drops)


def _step(
    model: nn.Module,
    batch: Batch,
    loss: Callable[[Batch, Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
) -> None:
    model.train()
    images = batch.images.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bfloat16"):
        logits = model(images)
    optimizer.zero_grad(set_to_none=True)
    loss(batch, logits.float()).backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()


@torch.inference_mode()
def _answers(model: nn.Module, images: Tensor) -> Tensor:
    """`(B, 1, 56, 56)` -> logits of the model in evaluation mode."""
    model.eval()
    return torch.cat([model(part) for part in images.split(_SLICE)])
