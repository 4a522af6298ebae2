"""Detection's losses: everything that is there by category and colour, and what a task asks for.

Shapes: `B` samples, `L` places, `M` objects an image, `K` categories, 6 colours with that of none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from ...assembler.joint.recipe import Recipe
from ...errors import InputError
from ...tasks import Task
from ...tasks.domain import Split, trained_tasks
from ...training.objective import Scored
from .attrod import COLOURS
from .batches import DetectionBatch, DetectionSource
from .domain import AttrOd
from .loss import DetectionLoss, detection_loss

_WATCH_EVERY = 5  # one trained task in five is validated


@dataclass(frozen=True)
class DetectionObjective:
    domain: AttrOd

    @property
    def n_outputs(self) -> int:
        return len(self.domain.categories)

    @property
    def n_pretrain_outputs(self) -> int:
        return self.n_outputs + len(COLOURS) + 1

    @cached_property
    def watched(self) -> Sequence[Task]:
        return trained_tasks(self.domain)[::_WATCH_EVERY]

    def source(self, recipe: Recipe, tasks: Sequence[Task] | None = None) -> DetectionSource:
        return self._source(recipe, "train", trained_tasks(self.domain) if tasks is None else tasks)

    def validation(self, recipe: Recipe, n: int, task: Task | None = None) -> DetectionBatch:
        plain = replace(recipe, batch_size=n, digit_augmentation=False, mirror=False)
        if task is not None:
            return self._source(replace(plain, augmented_share=0.0), "validation", [task]).draw("joint", 0)
        return self._source(plain, "validation", trained_tasks(self.domain)).draw("pretrain", 0)

    def _source(self, recipe: Recipe, split: Split, tasks: Sequence[Task]) -> DetectionSource:
        posed = [task for task in tasks if self.domain.poses(task, split)]
        if not posed:
            raise InputError(
                f"no {split} image of {self.domain.data} holds what {_some(tasks)} asks for; use more images, or tasks "
                "with more of their objects"
            )
        return DetectionSource(recipe, self.domain.squares(split), self.domain.space, posed)

    def pretrain_loss(self, outputs: Tensor, batch: DetectionBatch) -> Scored:
        """Every object has two labels: its category and its colour. Crowds of all categories are ignored."""
        labels = torch.cat([self._categories(batch), F.one_hot(batch.colour, len(COLOURS) + 1)], 2)  # (B, M, K + 6)
        every = torch.ones(len(outputs), self.n_pretrain_outputs, dtype=torch.bool, device=outputs.device)
        grid = self.domain.grid
        return _scored(detection_loss(outputs, grid, batch.boxes, batch.there, labels, every, batch.crowd))

    def task_loss(self, outputs: Tensor, batch: DetectionBatch) -> Scored:
        labels, grid = self._categories(batch), self.domain.grid
        return _scored(detection_loss(outputs, grid, batch.boxes, batch.wanted, labels, batch.asked, batch.ignored))

    def _categories(self, batch: DetectionBatch) -> Tensor:
        """`(B, M, K)`; what is not there has none."""
        return F.one_hot(batch.category + 1, self.n_outputs + 1)[..., 1:]


def _some(tasks: Sequence[Task]) -> str:
    return f"'{tasks[0]}'" if len(tasks) == 1 else f"any of {len(tasks)} tasks"


def _scored(found: DetectionLoss) -> Scored:
    return Scored(found.total, found.overlap)
