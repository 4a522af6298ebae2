"""Detection's losses: all objects by category and colour (pre-training), and what a task asks for.

Shapes: `B` samples, `L` anchor points, `M` objects an image, `K` categories, 6 colours with that of none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import InputError
from ...tasks import Task
from ...tasks.domain import Split, trained_tasks
from ...training.objective import Sampling, Scored
from ...training.rng import JOINT, PRETRAIN
from .attrod import COLOURS
from .batches import DetectionBatch, DetectionSource
from .domain import AttrOd
from .loss import DetectionLoss, detection_loss
from .settings import DetectionSettings

_WATCH_EVERY = 5  # one trained task in five is watched


@dataclass(frozen=True)
class DetectionObjective:
    domain: AttrOd
    settings: DetectionSettings = DetectionSettings()

    @property
    def n_outputs(self) -> int:
        return len(self.domain.categories)

    @property
    def n_pretrain_outputs(self) -> int:
        return self.n_outputs + len(COLOURS) + 1

    @cached_property
    def watched(self) -> Sequence[Task]:
        return trained_tasks(self.domain)[::_WATCH_EVERY]

    def source(self, sampling: Sampling, tasks: Sequence[Task] | None = None) -> DetectionSource:
        asked = trained_tasks(self.domain) if tasks is None else tasks
        return self._source(sampling, self.settings, "train", asked)

    def validation(self, sampling: Sampling, n: int, task: Task | None = None) -> DetectionBatch:
        plain = replace(self.settings, augmentation=False, mirror=False)
        sampling = replace(sampling, batch_size=n)
        if task is not None:
            only = replace(sampling, augmented_share=0.0)
            drawn = self._source(only, plain, "validation", [task]).draw(JOINT, 0)
        else:
            drawn = self._source(sampling, plain, "validation", trained_tasks(self.domain)).draw(PRETRAIN, 0)
        return drawn.to(torch.device("cpu"), torch.float32)

    def _source(
        self, sampling: Sampling, settings: DetectionSettings, split: Split, tasks: Sequence[Task]
    ) -> DetectionSource:
        covered = [task for task in tasks if self.domain.covers(task, split)]
        if not covered:
            raise InputError(
                f"no {split} image of {self.domain.data} holds what {_some(tasks)} asks for; use more images, or tasks "
                "with more of their objects"
            )
        return DetectionSource(sampling, settings, self.domain.images(split), self.domain.space, covered)

    def pretrain_loss(self, outputs: Tensor, batch: DetectionBatch) -> Scored:
        """Each object has two labels, its category and its colour. Crowds of any category are ignored."""
        labels = torch.cat([self._categories(batch), F.one_hot(batch.colour, len(COLOURS) + 1)], 2)  # (B, M, K + 6)
        every = torch.ones(len(outputs), self.n_pretrain_outputs, dtype=torch.bool, device=outputs.device)
        grid = self.domain.grid
        return _scored(detection_loss(outputs, grid, batch.boxes, batch.there, labels, every, batch.crowd))

    def task_loss(self, outputs: Tensor, batch: DetectionBatch) -> Scored:
        labels, grid = self._categories(batch), self.domain.grid
        return _scored(detection_loss(outputs, grid, batch.boxes, batch.wanted, labels, batch.asked, batch.ignored))

    def _categories(self, batch: DetectionBatch) -> Tensor:
        """One-hot categories `(B, M, K)`; zeros for objects that are not there."""
        return F.one_hot(batch.category + 1, self.n_outputs + 1)[..., 1:]


def _some(tasks: Sequence[Task]) -> str:
    return f"'{tasks[0]}'" if len(tasks) == 1 else f"any of {len(tasks)} tasks"


def _scored(found: DetectionLoss) -> Scored:
    return Scored(found.total, found.overlap)
