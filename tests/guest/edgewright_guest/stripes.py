"""Stripes: is the picture one of few or many, horizontal or vertical stripes? A whole task domain."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from edgewright.domains.answers import AnswerExamples, AnswerReader
from edgewright.domains.protocol import About
from edgewright.tables import read_table
from edgewright.tasks import AttributeGroup, AttributeSpace
from edgewright.tasks.domain import ACCURACY, trained_tasks
from edgewright.training.objective import Scored
from edgewright.training.rng import draw_limits, moved, step_rng

SIDE = 16
DIRECTIONS, COUNTS = ("horizontal", "vertical"), ("few", "many")
SPACE = AttributeSpace((AttributeGroup("direction", DIRECTIONS), AttributeGroup("count", COUNTS)))
TASKS = tuple(SPACE.task((direction, count)) for direction in DIRECTIONS for count in COUNTS)
SEEDS = {"train": 0, "validation": 1, "test": 2}


def draw(kinds, rng, noise):
    """Pictures `(B, 1, S, S)` of the kinds `(B,)`, which are indices of TASKS."""
    position = np.arange(SIDE)[None] + rng.uniform(0, SIDE, (len(kinds), 1))  # (B, S)
    wave = 0.5 + 0.4 * np.sin(2 * np.pi * position * np.where(kinds % 2, 4, 2)[:, None] / SIDE)
    rows = np.repeat(wave[:, :, None], SIDE, 2)  # (B, S, S)
    images = np.where((kinds < 2)[:, None, None], rows, rows.transpose(0, 2, 1))
    images = images + noise * rng.standard_normal(images.shape)
    return images.clip(0, 1)[:, None].astype(np.float32)


@dataclass(frozen=True)
class Settings:
    noise: float = 0.1


@dataclass(frozen=True)
class Stripes:
    """The domain: pictures are made at will, those of two splits from seeds of their own."""

    noise: float
    name: str = "stripes"
    score_name: object = ACCURACY
    space: AttributeSpace = SPACE
    tasks: tuple = TASKS
    held_out: tuple = TASKS[3:]
    data: str = "generated stripes"

    def covers(self, task, split):
        return True

    def outputs(self, task):
        return None

    def count(self, task):
        return None

    def describe(self, task):
        return {"name": self.name, "answers": ["no", "yes"]}

    def examples(self, task, split, n, rng):
        rng, own = np.random.default_rng([SEEDS[split], int(rng.integers(2**31))]), TASKS.index(task)
        answers = rng.permutation(np.arange(n) % 2)
        kinds = np.where(answers, own, (own + rng.integers(1, 4, n)) % 4)
        return AnswerExamples(draw(kinds, rng, self.noise), answers.astype(np.int64))


@dataclass(frozen=True)
class Batch:
    images: torch.Tensor
    tasks: torch.Tensor
    limits: torch.Tensor
    kinds: torch.Tensor
    answers: torch.Tensor

    def to(self, device, dtype):
        return moved(self, device, dtype)


@dataclass(frozen=True)
class Source:
    sampling: object
    asked: tuple
    noise: float

    def draw(self, stage, step, part=slice(None)):
        rng, _ = step_rng(self.sampling.seed, stage, step)
        n = self.sampling.batch_size
        own = np.array([TASKS.index(task) for task in self.asked])[rng.integers(len(self.asked), size=n)]
        kinds = np.where(rng.random(n) < 0.5, own, rng.integers(4, size=n))
        images, limits = draw(kinds, rng, self.noise), draw_limits(rng, n, self.sampling.min_limit)
        tasks = np.stack([SPACE.encode(TASKS[index].attributes) for index in own])
        arrays = (images, tasks, limits, kinds, (kinds == own).astype(np.int64))
        return Batch(*(torch.from_numpy(array[part]) for array in arrays))


@dataclass(frozen=True)
class Objective:
    domain: Stripes
    n_pretrain_outputs: int = 4
    n_outputs: int = 2

    @property
    def watched(self):
        return trained_tasks(self.domain)

    def source(self, sampling, tasks=None):
        return Source(sampling, self.watched if tasks is None else tuple(tasks), self.domain.noise)

    def validation(self, sampling, n, task=None):
        asked = self.watched if task is None else (task,)
        held = type(sampling)(seed=sampling.seed + 1_000_003, batch_size=n, min_limit=sampling.min_limit)
        return Source(held, asked, self.domain.noise).draw("joint", 0)

    def pretrain_loss(self, outputs, batch):
        return Scored(F.cross_entropy(outputs, batch.kinds), (outputs.argmax(1) == batch.kinds).float().mean())

    def task_loss(self, outputs, batch):
        return Scored(F.cross_entropy(outputs, batch.answers), (outputs.argmax(1) == batch.answers).float().mean())


class StripesKind:
    name = "stripes"
    about = About("stripes", "direction and count", "Accuracy on {n} images per task", "Images: {data}.")

    def settings(self, table):
        return read_table(Settings, table, "domain 'stripes'")

    def space(self, data):
        return AttributeSpace.from_json(data)

    def tasks(self, space):
        return TASKS

    def open(self, settings, backbone, sources, space=None):
        return Stripes(settings.noise)

    def objective(self, domain, settings):
        return Objective(domain)

    def reader(self, outputs):
        return AnswerReader.of(outputs, (1, SIDE, SIDE))


STRIPES = StripesKind()
