"""Training batches of a user's images: a task and an image per sample; a function of (seed, stage, step).

Shapes: `B` samples, `P` patterns of labels that occur, `Q` tasks of the pool, `A` labels, `T` numbers of a task's
encoding, `R` = 2 + A outputs of a supernet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...tasks import Task
from ...training.objective import Sampling
from ...training.rng import PRETRAIN, draw_limits, moved, sent, step_rng
from .augment import Variations
from .domain import LabelDomain, drawn
from .pool import Pool
from .question import N_YES_NO, Question
from .settings import ImageSettings
from .tasks import random_tasks


@dataclass(frozen=True)
class LabelBatch:
    """Images `(B, C, H, W)` in [0, 1], tasks `(B, T)`, limits `(B,)`; the outputs that answer each sample's task
    `(B, R)`, the right one's index `(B,)`, and the labels of the image `(B, A)`."""

    images: Tensor
    tasks: Tensor
    limits: Tensor
    asked: Tensor
    answers: Tensor
    has: Tensor

    def to(self, device: torch.device, dtype: torch.dtype) -> LabelBatch:
        """Everything on `device`, images and tasks in `dtype`."""
        return moved(self, device, dtype)


@dataclass(frozen=True)
class LabelDraw:
    """A batch before its images are varied: pixels `(B, H, W, C)` uint8, and the rest as in `LabelBatch`."""

    pixels: Tensor
    variations: Variations
    settings: ImageSettings
    tasks: Tensor
    limits: Tensor
    asked: Tensor
    answers: Tensor
    has: Tensor

    def to(self, device: torch.device, dtype: torch.dtype) -> LabelBatch:
        """The batch; its images are varied on `device`."""
        images = sent(self.pixels, device).permute(0, 3, 1, 2).float() / 255  # (B, C, H, W)
        images = self.variations.to(device).applied(images, self.settings)
        return LabelBatch(images, self.tasks, self.limits, self.asked, self.answers, self.has).to(device, dtype)


class LabelSource:
    """Draws batches from the training images, of the given tasks and a share of others."""

    def __init__(self, sampling: Sampling, settings: ImageSettings, domain: LabelDomain, asked: Sequence[Task]) -> None:
        self.sampling, self.settings, self.domain, self.asked = sampling, settings, domain, asked
        self.patterns = domain.patterns("train")

    @cached_property
    def pool(self) -> Pool:
        sampling, domain = self.sampling, self.domain
        extra = random_tasks(domain.space, sampling.n_augmented_tasks, np.random.default_rng([sampling.seed, 99]))
        extra = [task for task in extra if sampling.augmented_share and domain.covers(task, "train")]
        return Pool.of(domain, self.asked, extra, sampling.augmented_share, self.settings.which_share)

    def draw(self, stage: str, step: int, part: slice = slice(None)) -> LabelDraw:
        """The batch of a step, or the part of it that one process works on."""
        n, pool = self.sampling.batch_size, self.pool
        rng, generator = step_rng(self.sampling.seed, stage, step)
        task = rng.choice(len(pool.share), n, p=pool.share)  # (B,)
        chosen, answers = self._drawn(task, rng)  # (B,), (B,)
        if stage == PRETRAIN:  # labels are what is asked for; every image once before any comes twice
            chosen = self._in_turn(step)
        limits = draw_limits(rng, n, self.sampling.min_limit)  # (B,)
        return LabelDraw(
            pixels=torch.from_numpy(self.domain.pixels[chosen[part]]),  # (B, H, W, C)
            variations=Variations.draw(n, generator).of(part),
            settings=self.settings,
            tasks=torch.from_numpy(pool.encoding[task[part]]),
            limits=torch.from_numpy(limits[part]),
            asked=torch.from_numpy(pool.asked[task[part]]),
            answers=torch.from_numpy(answers[part]),
            has=torch.from_numpy(self.domain.images.has[chosen[part]]),
        )

    def _drawn(self, task: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """An image for each task, all answers to it alike; and the output that says the answer."""
        pool, n = self.pool, len(task)
        yes = rng.integers(2, size=n).astype(bool)  # (B,)
        label = (rng.random((n, pool.which.shape[1])) * pool.which[task]).argmax(1)  # (B,)
        tells_apart = np.logical_or.reduce(pool.which[task], axis=1)  # (B,)
        answered = pool.yes[task] == yes[:, None]  # (B, P)
        allowed = np.where(tells_apart[:, None], self.patterns.has[:, label].T, answered)  # (B, P)
        chosen, _ = self.patterns.draw(allowed, rng)  # (B,)
        return chosen, np.where(tells_apart, N_YES_NO + label, yes).astype(np.int64)

    def _in_turn(self, step: int) -> NDArray[np.int64]:
        """The images of a step `(B,)` when all are looked at in turn, in a new order every time."""
        n, images = self.sampling.batch_size, self.patterns.images
        places = np.arange(step * n, (step + 1) * n)  # (B,)
        chosen = np.empty(n, np.int64)
        for turn in np.unique(places // len(images)):
            order = np.random.default_rng([self.sampling.seed, 98, int(turn)]).permutation(images)
            mine = places // len(images) == turn
            chosen[mine] = order[places[mine] % len(images)]
        return chosen


def task_batch(domain: LabelDomain, task: Task, n: int, rng: np.random.Generator) -> LabelBatch:
    """`n` validation images of one task, some of them twice where there are fewer; limits are one."""
    question = domain.space.question(task)
    chosen, answers = drawn(question, domain.images, "validation", n, rng)
    again = np.arange(n) % len(chosen)
    rows = np.array(question.output_rows)[answers[again]]  # (B,)
    return _plain(domain, chosen[again], rows, domain.space.encoded(question), question)


def label_batch(domain: LabelDomain, n: int, rng: np.random.Generator) -> LabelBatch:
    """`n` validation images and all their labels, some twice where there are fewer; no task is asked."""
    images = domain.images.of_split("validation")
    chosen = np.resize(rng.permutation(images), n)  # (B,)
    return _plain(domain, chosen, np.zeros(n, np.int64), np.zeros(len(domain.space.attributes), np.float32), Question())


def _plain(
    domain: LabelDomain, chosen: NDArray[np.int64], rows: NDArray[np.int64], encoding: NDArray[np.float32],
    question: Question,
) -> LabelBatch:  # fmt: skip
    n = len(chosen)
    asked = torch.zeros(n, domain.n_outputs, dtype=torch.bool)
    asked[:, list(question.output_rows)] = True
    return LabelBatch(
        images=torch.from_numpy(domain.as_floats(chosen)),
        tasks=torch.from_numpy(encoding).repeat(n, 1),
        limits=torch.ones(n),
        asked=asked,
        answers=torch.from_numpy(rows),
        has=torch.from_numpy(domain.images.has[chosen]),
    )
