"""NumVQA's losses: how often each digit occurs, and yes or no.

Shapes: `B` samples, 10 digits with `K` = 5 possible counts each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from ..tasks import Task, numvqa
from ..tasks.domain import Split
from ..tasks.numvqa import NumVqa
from .batches import Batch, BatchSource, ExampleSource
from .objective import Scored
from .recipe import Recipe

N_COUNT_LOGITS = 10 * 5


@dataclass(frozen=True)
class NumVqaObjective:
    domain: NumVqa
    n_pretrain_outputs: int = N_COUNT_LOGITS
    n_outputs: int = 2
    watched: Sequence[Task] = numvqa.TRAINED

    def source(
        self, recipe: Recipe, split: Split = "train", tasks: Sequence[Task] | None = None
    ) -> BatchSource | ExampleSource:
        """A single task is validated on such examples as it is tested on."""
        digits = getattr(self.domain.digits, split)
        if split == "validation" and tasks is not None and len(tasks) == 1:
            return ExampleSource(recipe, digits, tasks[0])
        return BatchSource(recipe, digits, numvqa.TRAINED if tasks is None else tasks)

    def pretrain_loss(self, outputs: Tensor, batch: Batch) -> Scored:
        logits = outputs.unflatten(1, (10, 5))  # (B, 10, K)
        loss = F.cross_entropy(logits.flatten(0, 1), batch.digit_counts.flatten())
        return Scored(loss, (logits.argmax(2) == batch.digit_counts).float().mean())

    def task_loss(self, outputs: Tensor, batch: Batch) -> Scored:
        return Scored(F.cross_entropy(outputs, batch.answers), (outputs.argmax(1) == batch.answers).float().mean())
