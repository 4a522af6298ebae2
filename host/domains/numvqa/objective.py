"""NumVQA's losses: how often each digit occurs (pre-training), and yes or no (tasks).

Shapes: `B` samples, 10 digits with `K` = 5 possible counts each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...tasks import Task
from ...training.objective import Sampling, Scored
from ...training.rng import PRETRAIN
from . import domain as numvqa
from .batches import NumVqaBatch, NumVqaSource, example_batch
from .domain import NumVqa
from .settings import NumVqaSettings

N_COUNT_LOGITS = 10 * 5


@dataclass(frozen=True)
class NumVqaObjective:
    domain: NumVqa
    settings: NumVqaSettings = NumVqaSettings()
    n_pretrain_outputs: int = N_COUNT_LOGITS
    n_outputs: int = 2
    watched: Sequence[Task] = numvqa.TRAINED

    def source(self, sampling: Sampling, tasks: Sequence[Task] | None = None) -> NumVqaSource:
        asked = numvqa.TRAINED if tasks is None else tasks
        return NumVqaSource(sampling, self.settings, self.domain.digits.train, asked)

    def validation(self, sampling: Sampling, n: int, task: Task | None = None) -> NumVqaBatch:
        digits = self.domain.digits.validation
        if task is not None:
            return example_batch(task, digits, n, np.random.default_rng([sampling.seed, 7]))
        plain = replace(self.settings, augmentation=False)
        drawn = NumVqaSource(replace(sampling, batch_size=n), plain, digits).draw(PRETRAIN, 0)
        return drawn.to(torch.device("cpu"), torch.float32)

    def pretrain_loss(self, outputs: Tensor, batch: NumVqaBatch) -> Scored:
        logits = outputs.unflatten(1, (10, 5))  # (B, 10, K)
        loss = F.cross_entropy(logits.flatten(0, 1), batch.digit_counts.flatten())
        return Scored(loss, (logits.argmax(2) == batch.digit_counts).float().mean())

    def task_loss(self, outputs: Tensor, batch: NumVqaBatch) -> Scored:
        return Scored(F.cross_entropy(outputs, batch.answers), (outputs.argmax(1) == batch.answers).float().mean())
