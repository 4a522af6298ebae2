"""Detection's losses: everything that is there by category and colour, and what a task asks for.

Shapes: `B` samples, `L` places, `M` objects an image, `K` categories, 6 colours with that of none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from ..tasks import Task
from ..tasks.attrod import COLOURS
from ..tasks.detection import AttrOd
from ..tasks.domain import Split, trained_tasks
from .detection_batches import DetectionBatch, DetectionSource
from .detection_loss import DetectionLoss, detection_loss
from .objective import Scored
from .recipe import Recipe

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

    def source(self, recipe: Recipe, split: Split = "train", tasks: Sequence[Task] | None = None) -> DetectionSource:
        asked = trained_tasks(self.domain) if tasks is None else tasks
        asked = [task for task in asked if self.domain.poses(task, split)] or asked
        return DetectionSource(recipe, self.domain.squares(split), self.domain.space, asked)

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


def _scored(found: DetectionLoss) -> Scored:
    return Scored(found.total, found.overlap)
