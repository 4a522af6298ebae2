"""What training needs of a task domain: batches to learn from, and what is wrong about a model's outputs.

Shapes: `B` samples, `T` attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from ..assembler.joint.recipe import Recipe
from ..tasks import Task
from ..tasks.domain import TaskDomain


class Batch(Protocol):
    """Images `(B, C, H, W)`, multi-hot tasks `(B, T)`, limits `(B,)`, and what the domain's losses need."""

    @property
    def images(self) -> Tensor: ...

    @property
    def tasks(self) -> Tensor: ...

    @property
    def limits(self) -> Tensor: ...

    def to(self, device: torch.device, dtype: torch.dtype) -> Batch: ...


class BatchSource(Protocol):
    """Every batch is a function of the recipe's seed, the stage and the step alone."""

    def draw(self, stage: str, step: int, part: slice = slice(None)) -> Batch:
        """The batch of a step, or the part of it that one process works on."""
        ...


class Scored(NamedTuple):
    """A loss, and a score to watch it by; scalars."""

    loss: Tensor
    score: Tensor


class Objective(Protocol):
    """Losses take batches of the objective's own source. `n_pretrain_outputs` is the `num_classes` of a model that
    answers what all tasks ask about."""

    @property
    def domain(self) -> TaskDomain: ...

    @property
    def n_pretrain_outputs(self) -> int: ...

    @property
    def n_outputs(self) -> int:
        """The `num_classes` of a model for tasks."""
        ...

    @property
    def watched(self) -> Sequence[Task]:
        """Trained tasks that validation looks at."""
        ...

    def source(self, recipe: Recipe, tasks: Sequence[Task] | None = None) -> BatchSource:
        """Training batches of the trained tasks, or of the given ones.

        Raises `InputError` where the training images pose none of them.
        """
        ...

    def validation(self, recipe: Recipe, n: int, task: Task | None = None) -> Batch:
        """`n` samples of validation images as they are, of one task, or for what pre-training teaches.

        Raises `InputError` where they do not pose the task.
        """
        ...

    def pretrain_loss(self, outputs: Tensor, batch: Any) -> Scored:
        """Of a model with `n_pretrain_outputs`, whatever the batch's tasks are."""
        ...

    def task_loss(self, outputs: Tensor, batch: Any) -> Scored:
        """Of a model that answers the batch's tasks."""
        ...


def objective_of(domain: TaskDomain) -> Objective:
    from ..domains.detection.domain import AttrOd
    from ..domains.detection.objective import DetectionObjective
    from ..domains.numvqa.domain import NumVqa
    from ..domains.numvqa.objective import NumVqaObjective

    if isinstance(domain, AttrOd):
        return DetectionObjective(domain)
    if isinstance(domain, NumVqa):
        return NumVqaObjective(domain)
    raise TypeError(f"there is no objective for {type(domain).__name__}")
