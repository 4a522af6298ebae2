"""A user's labelled images as a task domain.

Shapes: `n` images of all splits, `B` examples, `A` labels, `K` answers to a task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.labelled import LabelledImages
from ...errors import InputError
from ...tasks import Task
from ...tasks.domain import ACCURACY, ScoreName, Split, TaskOutputs
from .patterns import Patterns
from .question import N_YES_NO, YES_NO, Question
from .space import LabelSpace
from .tasks import all_tasks, held_out

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class LabelExamples:
    """Images `(B, C, H, W)` in [0, 1] and which answer is right `(B,)`. Outputs are those of a task's model `(B, K)`,
    or all of a supernet's, of which `rows` are the task's."""

    images: NDArray[np.float32]
    answers: NDArray[np.int64]
    rows: tuple[int, ...]
    score_name: ScoreName = ACCURACY

    def score(self, outputs: NDArray[np.float32]) -> float:
        """The share of right answers; every answer counts alike, however many images are of it."""
        right = self._answered(outputs) == self.answers  # (B,)
        return float(np.mean([right[self.answers == answer].mean() for answer in np.unique(self.answers)]))

    def agreement(self, one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
        return float((self._answered(one) == self._answered(other)).mean())

    def _answered(self, outputs: NDArray[np.float32]) -> NDArray[np.int64]:
        mine = outputs if outputs.shape[1] == len(self.rows) else outputs[:, self.rows]  # (B, K)
        return mine.argmax(1)


@dataclass(frozen=True)
class LabelDomain:
    """The domain over some images. Pixels are decoded when they are first asked for."""

    images: LabelledImages
    shape: Shape
    decode: Callable[[], NDArray[np.uint8]]
    name: str = "images"
    score_name: ScoreName = ACCURACY
    _cache: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def space(self) -> LabelSpace:
        train = self.images.has[self.images.of_split("train")]
        return LabelSpace.of(self.images.groups, train, self.images.digest)

    @property
    def tasks(self) -> tuple[Task, ...]:
        return all_tasks(self.space)

    @property
    def held_out(self) -> tuple[Task, ...]:
        return held_out(self.space)

    @property
    def data(self) -> str:
        return f"{self.images.root.name} ({self.images.digest[:12]})"

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """Of all images, `(n, H, W, C)`."""
        if "pixels" not in self._cache:
            self._cache["pixels"] = self.decode()
        pixels: NDArray[np.uint8] = self._cache["pixels"]
        return pixels

    def covers(self, task: Task, split: Split) -> bool:
        """Whether the split has an image of every answer."""
        question = self.space.question(task)
        answers = question.answers(self.patterns(split).has)
        return all((answers == index).any() for index in range(len(question.output_rows)))

    def patterns(self, split: Split) -> Patterns:
        """The images of a split by their labels."""
        if split not in self._cache:
            images = self.images.of_split(split)
            self._cache[split] = Patterns.of(self.images.has[images], images)
        patterns: Patterns = self._cache[split]
        return patterns

    def describe(self, task: Task) -> dict[str, Any]:
        """The labels of a model's outputs, and the shape of its input."""
        return {"name": self.name, "labels": list(self.answers(task)), "image_shape": list(self.shape)}

    def answers(self, task: Task) -> tuple[str, ...]:
        """What a model for the task may say, in the order of its outputs."""
        which = self.space.question(task).which
        return tuple(self.space.labels[index] for index in which) if which else YES_NO

    def outputs(self, task: Task) -> TaskOutputs:
        return TaskOutputs(self.space.question(task).output_rows, self.answers(task))

    @property
    def n_outputs(self) -> int:
        """Of a supernet: yes, no, and one for every label."""
        return N_YES_NO + len(self.space.labels)

    def count(self, task: Task) -> int | None:
        """Training images that the task is about; none where they do not cover it."""
        if not self.covers(task, "train"):
            return 0
        question, patterns = self.space.question(task), self.patterns("train")
        answers = question.answers(patterns.has)
        return int(patterns.counts[answers >= 0 if question.which else answers == 1].sum())

    def examples(self, task: Task, split: Split, n: int, rng: np.random.Generator) -> LabelExamples:
        """At most `n` images, as many of each answer where there are so many."""
        if not self.covers(task, split):
            raise InputError(
                f"the {split} images of {self.images.root} do not show every answer to '{task}', so that no model for "
                "it can be judged; `edgewright data check` counts what they show"
            )
        question = self.space.question(task)
        chosen, answers = drawn(question, self.images, split, n, rng)  # (B,), (B,)
        return LabelExamples(self.as_floats(chosen), answers, question.output_rows)

    def as_floats(self, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
        """Images `(B,)` as `(B, C, H, W)` in [0, 1]."""
        pixels = self.pixels[chosen].transpose(0, 3, 1, 2)  # (B, C, H, W)
        return np.ascontiguousarray(pixels, np.float32) / np.float32(255)


def drawn(
    question: Question, images: LabelledImages, split: Split, n: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """At most `n` different images of a split and their right answers, each `(B,)`, in the order of the images."""
    of_split = images.of_split(split)
    answers = question.answers(images.has[of_split])  # (n,)
    n_answers = len(question.output_rows)
    each = max(1, n // n_answers)
    parts = [rng.permutation(np.flatnonzero(answers == answer))[:each] for answer in range(n_answers)]
    rows = np.sort(np.concatenate(parts)[: max(n, n_answers)])
    return of_split[rows], answers[rows]
