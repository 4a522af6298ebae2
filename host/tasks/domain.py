"""A task domain: a space of tasks, data that cover them, and scores of a model's outputs.

Shapes: `B` images of `(C, H, W)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .attributes import Task
from .space import TaskSpace

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class ScoreName:
    """What a score is called in files, and by people."""

    key: str
    title: str


ACCURACY = ScoreName("accuracy", "accuracy")
MAP50 = ScoreName("map50", "mAP@0.5")


@dataclass(frozen=True)
class TaskOutputs:
    """The outputs of a supernet that a model for one task gives, in the model's order, and what each is called."""

    rows: tuple[int, ...]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.labels) or len(set(self.rows)) != len(self.rows) or not self.rows:
            raise InputError(f"each output of a model is one of the supernet's, got {self.rows} for {self.labels}")


class Examples(Protocol):
    """Images `(B, C, H, W)` of one task, and the right answers."""

    @property
    def score_name(self) -> ScoreName: ...

    @property
    def images(self) -> NDArray[np.float32]: ...

    def score(self, outputs: NDArray[np.float32]) -> float:
        """How good a model's outputs `(B, ...)` for the images are, in [0, 1]."""
        ...

    def agreement(self, one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
        """How far two models say the same, in [0, 1]."""
        ...


class TaskDomain(Protocol):
    @property
    def name(self) -> str:
        """What recipes, supernets and manifests call it."""
        ...

    @property
    def score_name(self) -> ScoreName: ...

    @property
    def space(self) -> TaskSpace: ...

    @property
    def tasks(self) -> tuple[Task, ...]: ...

    @property
    def held_out(self) -> tuple[Task, ...]:
        """Those of `tasks` that are never trained on."""
        ...

    @property
    def data(self) -> str:
        """Which data the examples are made of, for manifests."""
        ...

    def covers(self, task: Task, split: Split) -> bool:
        """Whether the split's images hold what the task asks for, so that a model for it can be taught or judged."""
        ...

    def describe(self, task: Task) -> dict[str, Any]:
        """How to read the outputs of a model for the task, as JSON; `name` is the domain's."""
        ...

    def outputs(self, task: Task) -> TaskOutputs | None:
        """Which outputs of the supernet a model for the task gives; None where it gives all."""
        ...

    def count(self, task: Task) -> int | None:
        """How many objects of a task the training images hold; None where images are made at will."""
        ...

    def examples(self, task: Task, split: Split, n: int, rng: np.random.Generator) -> Examples:
        """At most `n` examples of a task; no two splits share an object.

        Raises `InputError` where the split does not cover the task.
        """
        ...


def trained_tasks(domain: TaskDomain) -> tuple[Task, ...]:
    """All that are not held out."""
    left_out = set(domain.held_out)
    return tuple(task for task in domain.tasks if task not in left_out)


def calibration_images(
    domain: TaskDomain, tasks: Sequence[Task], n: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """About `n` training images of all tasks alike, `(n, C, H, W)`; at least one of each task that they cover."""
    covered = [task for task in tasks if domain.covers(task, "train")]
    each = -(-n // max(1, len(covered)))
    return np.concatenate([domain.examples(task, "train", each, rng).images for task in covered or tasks])
