"""How good assembled subnets are, task by task and limit by limit.

A gated supernet equals the extracted subnet up to rounding, which tests assert. Extracting a subnet takes as
long as running the supernet on a few hundred images; the subnet is then several times faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..gates import Gates
from ..tasks import Task
from ..tasks.domain import Examples, Split, TaskDomain
from ..training.objective import Objective
from ..training.scoring import model_score, outputs_for
from .archive import TrainedSupernet
from .request import Request


@dataclass(frozen=True)
class TaskAccuracy:
    """One request and its subnet's score on images that were not trained on."""

    task: str
    held_out: bool
    limit: float
    ratio: float
    accuracy: float


Measure = Callable[[TrainedSupernet, Gates, Examples], float]


def subnet_accuracy(trained: TrainedSupernet, gates: Gates, examples: Examples) -> float:
    """The score of the subnet of these gates."""
    return model_score(trained.supernet.extract(gates), examples)


@torch.inference_mode()
def gated_accuracy(trained: TrainedSupernet, gates: Gates, examples: Examples) -> float:
    """The score of the supernet under one choice of gates."""
    trained.supernet.eval()
    like = next(trained.supernet.parameters())
    bits = torch.tensor(gates.bits).to(like)  # (N,)
    return examples.score(outputs_for(lambda images: trained.supernet(images, bits), examples, like))


def evaluate_tasks(
    trained: TrainedSupernet,
    domain: TaskDomain,
    tasks: Sequence[Task],
    limits: Sequence[float],
    n_images: int,
    seed: int,
    on_task: Callable[[int, int], None] = lambda done, total: None,
    measure: Measure = subnet_accuracy,
    split: Split = "test",
) -> list[TaskAccuracy]:
    """The score of every task at every limit, on at most `n_images` per task, the same for all limits.

    Tasks that the split does not cover are left out.
    """
    rows, unseen = [], set(domain.held_out)
    for index, task in enumerate(tasks):
        if not domain.covers(task, split):
            continue
        examples = domain.examples(task, split, n_images, np.random.default_rng([seed, index]))
        answers = trained.assembler.assemble([Request(task, limit) for limit in limits])
        for limit, gates in zip(limits, answers, strict=True):
            accuracy = measure(trained, gates, examples)
            rows.append(TaskAccuracy(str(task), task in unseen, limit, gates.ratio, accuracy))
        on_task(index + 1, len(tasks))
    return rows


def validation_score(
    trained: TrainedSupernet, objective: Objective, limit: float, seed: int, n_images: int = 64
) -> float:
    """The mean score over the watched tasks that the validation images cover; 0 when they cover none."""
    rows = evaluate_tasks(
        trained, objective.domain, objective.watched, [limit], n_images, seed, measure=gated_accuracy,
        split="validation",
    )  # fmt: skip
    return float(np.mean([row.accuracy for row in rows])) if rows else 0.0
