"""The losses of a user's images: all labels of an image (pre-training), and the answer to its task.

Shapes: `B` samples, `A` labels, `R` = 2 + A outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import InputError
from ...tasks import Task
from ...tasks.domain import trained_tasks
from ...training.objective import Sampling, Scored
from .batches import LabelBatch, LabelSource, label_batch, task_batch
from .domain import LabelDomain
from .question import N_YES_NO
from .settings import ImageSettings


@dataclass(frozen=True)
class LabelObjective:
    domain: LabelDomain
    settings: ImageSettings = ImageSettings()

    @property
    def n_outputs(self) -> int:
        return self.domain.n_outputs

    @property
    def n_pretrain_outputs(self) -> int:
        """The same: what tells labels apart when all are asked for does so when some are."""
        return self.domain.n_outputs

    @cached_property
    def watched(self) -> Sequence[Task]:
        return tuple(task for task in trained_tasks(self.domain) if self.domain.covers(task, "train"))

    def source(self, sampling: Sampling, tasks: Sequence[Task] | None = None) -> LabelSource:
        asked = self.watched if tasks is None else [task for task in tasks if self.domain.covers(task, "train")]
        if not asked:
            named = ", ".join(f"'{task}'" for task in tasks or ())
            raise InputError(
                f"the training images of {self.domain.images.root} do not show every answer to {named or 'any task'}; "
                "`edgewright data check` counts what they show"
            )
        return LabelSource(sampling, self.settings, self.domain, asked)

    def validation(self, sampling: Sampling, n: int, task: Task | None = None) -> LabelBatch:
        rng = np.random.default_rng([sampling.seed, 7])
        if task is None:
            return label_batch(self.domain, n, rng)
        if not self.domain.covers(task, "validation"):
            raise InputError(
                f"the validation images of {self.domain.images.root} do not show every answer to '{task}'; "
                "`edgewright data check` counts what they show"
            )
        return task_batch(self.domain, task, n, rng)

    def pretrain_loss(self, outputs: Tensor, batch: LabelBatch) -> Scored:
        """The mean over the groups: which label it is where an image has at most one, else whether it has each."""
        logits = outputs[:, N_YES_NO:]  # (B, A)
        pairs = zip(self.domain.space.groups, self.domain.space.indices, strict=True)
        scored = [
            (self._one_of if group.exclusive and len(mine) > 1 else self._each)(logits[:, mine], batch.has[:, mine])
            for group, mine in pairs
        ]
        return Scored(torch.stack([s.loss for s in scored]).mean(), torch.stack([s.score for s in scored]).mean())

    def task_loss(self, outputs: Tensor, batch: LabelBatch) -> Scored:
        logits = outputs.masked_fill(~batch.asked, -torch.inf)  # (B, R)
        loss = F.cross_entropy(logits, batch.answers, reduction="none")  # (B,)
        if smoothing := self.settings.label_smoothing:
            others = -logits.log_softmax(1).masked_fill(~batch.asked, 0.0).sum(1) / batch.asked.sum(1)  # (B,)
            loss = (1 - smoothing) * loss + smoothing * others
        return Scored(loss.mean(), (logits.argmax(1) == batch.answers).float().mean())

    def _one_of(self, logits: Tensor, has: Tensor) -> Scored:
        """`(B, K)` each; images without a label of the group teach nothing here."""
        labelled = has.any(1)  # (B,)
        right = has.int().argmax(1)  # (B,)
        losses = F.cross_entropy(logits, right, reduction="none", label_smoothing=self.settings.label_smoothing)
        share = labelled.float() / labelled.sum().clamp_min(1)  # (B,)
        return Scored((losses * share).sum(), ((logits.argmax(1) == right).float() * share).sum())

    def _each(self, logits: Tensor, has: Tensor) -> Scored:
        loss = F.binary_cross_entropy_with_logits(logits, has.to(logits.dtype))
        return Scored(loss, ((logits > 0) == has).float().mean())
