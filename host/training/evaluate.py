"""Accuracy of assembled subnets, task by task and limit by limit.

A gated supernet equals the extracted subnet to rounding, which tests assert. Cutting one out takes as long as some
hundred images take the supernet, and then the subnet is several times faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..assembler.archive import TrainedSupernet
from ..assembler.request import Request
from ..gates import Gates
from ..tasks import Task, numvqa
from ..tasks.digits import Digits
from ..tasks.numvqa import Examples


@dataclass(frozen=True)
class TaskAccuracy:
    """One request and what its subnet reached on images it never saw."""

    task: str
    held_out: bool
    limit: float
    ratio: float
    accuracy: float


Measure = Callable[[TrainedSupernet, Gates, Examples], float]


@torch.inference_mode()
def subnet_accuracy(trained: TrainedSupernet, gates: Gates, examples: Examples) -> float:
    """Share of right answers of the subnet of these gates."""
    like = next(trained.supernet.parameters())
    subnet = trained.supernet.extract(gates)
    logits = subnet(torch.from_numpy(examples.images).to(like))  # (B, 2)
    return float((logits.argmax(1).cpu().numpy() == examples.answers).mean())


@torch.inference_mode()
def gated_accuracy(trained: TrainedSupernet, gates: Gates, examples: Examples) -> float:
    """Share of right answers of the supernet under one choice of gates."""
    trained.supernet.eval()
    like = next(trained.supernet.parameters())
    bits = torch.tensor(gates.bits).to(like)  # (N,)
    logits = trained.supernet(torch.from_numpy(examples.images).to(like), bits)  # (B, 2)
    return float((logits.argmax(1).cpu().numpy() == examples.answers).mean())


def evaluate_tasks(
    trained: TrainedSupernet,
    digits: Digits,
    tasks: Sequence[Task],
    limits: Sequence[float],
    n_images: int,
    seed: int,
    on_task: Callable[[int, int], None] = lambda done, total: None,
    measure: Measure = subnet_accuracy,
) -> list[TaskAccuracy]:
    """Accuracy of every task at every limit, each task on the same `n_images` images for all limits."""
    rows = []
    for index, task in enumerate(tasks):
        examples = numvqa.examples(task, digits, n_images, np.random.default_rng([seed, index]))
        answers = trained.assembler.assemble([Request(task, limit) for limit in limits])
        for limit, gates in zip(limits, answers, strict=True):
            accuracy = measure(trained, gates, examples)
            rows.append(TaskAccuracy(str(task), task in numvqa.HELD_OUT, limit, gates.ratio, accuracy))
        on_task(index + 1, len(tasks))
    return rows


def validation_accuracy(trained: TrainedSupernet, digits: Digits, limit: float, seed: int, n_images: int = 64) -> float:
    """Mean over the trained tasks, to watch a run by."""
    rows = evaluate_tasks(trained, digits, numvqa.TRAINED, [limit], n_images, seed, measure=gated_accuracy)
    return float(np.mean([row.accuracy for row in rows]))
