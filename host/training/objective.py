"""What training needs of a task domain: batches to learn from, and the loss of a model's outputs.

Shapes: `B` samples, `T` attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from ..errors import InputError
from ..tasks import Task
from ..tasks.domain import TaskDomain


@dataclass(frozen=True)
class Sampling:
    """What batches are drawn by, whatever the domain.

    Attributes:
        batch_size: of a whole step.
        min_limit: the lowest activation limit that is drawn.
        augmented_share: the share of samples that ask for attribute combinations outside the tasks.
        n_augmented_tasks: at most so many such combinations.
    """

    seed: int = 0
    batch_size: int = 128
    min_limit: float = 0.02
    augmented_share: float = 0.3
    n_augmented_tasks: int = 2000

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), ("batch_size", 1), ("n_augmented_tasks", 0)):
            if getattr(self, name) < least:
                raise InputError(f"`{name}` must be at least {least}, got {getattr(self, name)}")
        for name in ("min_limit", "augmented_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"`{name}` must lie in [0, 1], got {getattr(self, name)}")


class Batch(Protocol):
    """Images `(B, C, H, W)`, multi-hot tasks `(B, T)`, limits `(B,)`, and what the domain's losses need."""

    @property
    def images(self) -> Tensor: ...

    @property
    def tasks(self) -> Tensor: ...

    @property
    def limits(self) -> Tensor: ...

    def to(self, device: torch.device, dtype: torch.dtype) -> Batch: ...


class Drawn(Protocol):
    """A batch that is not finished, or one that is: indices, random numbers and pixels as they are stored.

    A dataclass of tensors, so that it can be pinned.
    """

    def to(self, device: torch.device, dtype: torch.dtype) -> Batch:
        """The batch, on `device`, images and tasks in `dtype`. What takes long (augmentation) is computed there."""
        ...


class BatchSource(Protocol):
    """Every batch is a function of the seed, the stage and the step alone. Several threads draw at once."""

    def draw(self, stage: str, step: int, part: slice = slice(None)) -> Drawn:
        """The batch of a step, or the part of it that one process works on."""
        ...


class Scored(NamedTuple):
    """A loss, and a score to watch it by; scalars."""

    loss: Tensor
    score: Tensor


class Objective(Protocol):
    """Losses take batches of the objective's own source."""

    @property
    def domain(self) -> TaskDomain: ...

    @property
    def n_pretrain_outputs(self) -> int:
        """The `num_classes` of a model that answers what all tasks ask about."""
        ...

    @property
    def n_outputs(self) -> int:
        """The `num_classes` of a model for tasks."""
        ...

    @property
    def watched(self) -> Sequence[Task]:
        """The trained tasks that validation uses."""
        ...

    def source(self, sampling: Sampling, tasks: Sequence[Task] | None = None) -> BatchSource:
        """Training batches of the trained tasks, or of the given ones.

        Raises `InputError` if the training images cover none of them.
        """
        ...

    def validation(self, sampling: Sampling, n: int, task: Task | None = None) -> Batch:
        """`n` samples of validation images as they are, of one task, or for what pre-training teaches.

        Raises `InputError` where they do not cover the task.
        """
        ...

    def pretrain_loss(self, outputs: Tensor, batch: Any) -> Scored:
        """Of a model with `n_pretrain_outputs`, whatever the batch's tasks are."""
        ...

    def task_loss(self, outputs: Tensor, batch: Any) -> Scored:
        """Of a model that answers the batch's tasks."""
        ...
