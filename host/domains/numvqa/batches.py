"""NumVQA's training batches: questions are drawn, and images composed for them, on the fly.

Each batch is a function of (seed, stage, step) alone, so a killed run resumes with exactly the batches it would have
seen.

Shapes: `B` samples, `Q` questions of the pool, `T` attributes, `K` = 5 counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...data.digits import N_CLASSES, Digits
from ...tasks import Task
from ...training.objective import Sampling
from ...training.rng import draw_limits, draw_questions, moved, sent, step_rng
from . import domain as numvqa
from .augment import Variation, vary_digits
from .domain import N_DIGITS, Question
from .settings import NumVqaSettings


def augmented_questions(n: int, rng: np.random.Generator, max_tries: int = 100) -> list[Question]:
    """Up to `n` different questions outside the 60 tasks: one or two quantities with one to three digit attributes.

    "Augmented with extra attribute combinations" (NN-Factory, implementation section). No question means the same as
    a task, and each has both answers.
    """
    quantities, digits = (group.attributes for group in numvqa.SPACE.groups)
    meaning = lambda q: (q.members, q.counts)  # noqa: E731
    taken = {meaning(Question.of(task.attributes)) for task in numvqa.TASKS}
    distinct: dict[tuple[frozenset[int], frozenset[int]], Question] = {}
    for _ in range(n * max_tries):
        if len(distinct) == n:
            break
        names = [*rng.choice(quantities, rng.integers(1, 3), replace=False)]
        names += [*rng.choice(digits, rng.integers(1, 4), replace=False)]
        question = Question.of(str(name) for name in names)
        both = all(question.count_weights(answer).any() for answer in (False, True))
        if both and meaning(question) not in taken:
            distinct.setdefault(meaning(question), question)
    return list(distinct.values())


@dataclass(frozen=True)
class QuestionPool:
    """Questions as arrays, so that a mixed batch is drawn without a loop over samples."""

    encoding: NDArray[np.float32]  # (Q, T)
    members: NDArray[np.bool_]  # (Q, 10)
    natural: NDArray[np.float64]  # (Q, 2, K) the share of each count among uniform digits, per answer
    even: NDArray[np.float64]  # (Q, 2, K) all possible counts equally often
    n_tasks: int  # the first `n_tasks` questions are tasks, the others augmentation

    @classmethod
    def of(cls, tasks: list[Question], augmented: list[Question]) -> QuestionPool:
        questions = [*tasks, *augmented]
        natural = np.array([[q.count_weights(answer) for answer in (False, True)] for q in questions])
        possible = (natural > 0).astype(float)
        return cls(
            encoding=np.stack([numvqa.SPACE.encode(q.attributes) for q in questions]),
            members=np.array([np.isin(np.arange(N_CLASSES), list(q.members)) for q in questions]),
            natural=natural,
            even=possible / possible.sum(2, keepdims=True),
            n_tasks=len(tasks),
        )


@dataclass(frozen=True)
class NumVqaBatch:
    """Images `(B, 1, 56, 56)`, multi-hot tasks `(B, T)`, limits `(B,)`, answers `(B,)`, digit counts `(B, 10)`."""

    images: Tensor
    tasks: Tensor
    limits: Tensor
    answers: Tensor
    digit_counts: Tensor

    def to(self, device: torch.device, dtype: torch.dtype) -> NumVqaBatch:
        """Everything on `device`, images and tasks in `dtype`."""
        return moved(self, device, dtype)


@dataclass(frozen=True)
class NumVqaDraw:
    """A batch before its images are varied: pixels `(B, 1, 56, 56)` uint8, and the rest as in `NumVqaBatch`."""

    pixels: Tensor
    variation: Variation | None
    tasks: Tensor
    limits: Tensor
    answers: Tensor
    digit_counts: Tensor

    def to(self, device: torch.device, dtype: torch.dtype) -> NumVqaBatch:
        """The batch; its images are varied on `device`."""
        images = sent(self.pixels, device).float() / 255.0  # (B, 1, 56, 56)
        if self.variation is not None:
            images = vary_digits(images, self.variation.to(device))
        return NumVqaBatch(images, self.tasks, self.limits, self.answers, self.digit_counts).to(device, dtype)


class NumVqaSource:
    """Draws batches from some digits, of all trained tasks or of the given ones."""

    def __init__(
        self, sampling: Sampling, settings: NumVqaSettings, digits: Digits, asked: Sequence[Task] = numvqa.TRAINED
    ) -> None:
        self.sampling, self.settings, self.digits = sampling, settings, digits
        rng = np.random.default_rng([sampling.seed, 99])
        tasks = [Question.of(task.attributes) for task in asked]
        self.pool = QuestionPool.of(tasks, augmented_questions(sampling.n_augmented_tasks, rng))

    def draw(self, stage: str, step: int, part: slice = slice(None)) -> NumVqaDraw:
        """The batch of a step, or the part of it that one process works on."""
        n, pool, sampling = self.sampling.batch_size, self.pool, self.sampling
        rng, generator = step_rng(sampling.seed, stage, step)
        question = draw_questions(rng, n, pool.n_tasks, len(pool.encoding), sampling.augmented_share)  # (B,)
        answers = rng.integers(2, size=n)  # (B,)
        even = rng.random(n) < self.settings.even_counts_share
        weights = np.where(even[:, None], pool.even[question, answers], pool.natural[question, answers])  # (B, K)
        counts = (weights.cumsum(1) < rng.random((n, 1))).sum(1).clip(max=N_DIGITS)  # (B,)
        digits = numvqa.draw_digits(pool.members[question], counts, rng)  # (B, 4)
        chosen = numvqa.pick_examples(digits, self.digits, rng)  # (B, 4)
        limits = draw_limits(rng, n, sampling.min_limit)  # (B,)
        return NumVqaDraw(
            pixels=torch.from_numpy(numvqa.tiled(self.digits.images[chosen[part]])),
            variation=Variation.draw(n, generator).of(part) if self.settings.augmentation else None,
            tasks=torch.from_numpy(pool.encoding[question[part]]),
            limits=torch.from_numpy(limits[part]),
            answers=torch.from_numpy(answers[part]),
            digit_counts=_digit_counts(digits[part]),
        )


def example_batch(task: Task, digits: Digits, n: int, rng: np.random.Generator) -> NumVqaBatch:
    """A batch of one task, half yes and half no, drawn as test examples are; limits are one."""
    shown, answers = numvqa.draw_contents(task, n, rng)  # (B, 4), (B,)
    chosen = numvqa.pick_examples(shown, digits, rng)  # (B, 4)
    return NumVqaBatch(
        images=torch.from_numpy(numvqa.tile(digits.images[chosen])),
        tasks=torch.from_numpy(numvqa.SPACE.encode(task.attributes)).repeat(n, 1),
        limits=torch.ones(n),
        answers=torch.from_numpy(answers),
        digit_counts=_digit_counts(shown),
    )


def _digit_counts(digits: NDArray[np.int64]) -> Tensor:
    """How often each digit occurs: `(B, 4)` -> `(B, 10)`."""
    return torch.from_numpy((digits[:, :, None] == np.arange(N_CLASSES)).sum(1))
