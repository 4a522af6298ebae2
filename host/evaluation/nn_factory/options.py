"""What an evaluation covers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np

from ...errors import InputError
from ...tasks.domain import Split, TaskDomain
from ...training.fit import UntilFlat

LIMITS = (0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
TASKS = ("has, 0", "only two, 1", "only two, odd", "only one, 3", "only two, 5")
"""Those of the paper's Table 2 that it tells most about, and one that is never trained."""

_N_TASKS = 8
METHODS = ("edgewright", "retrain", "retrain-equal", "prune-tune")

Say = Callable[[str, int, int], None]
"""Receives what is being done, how much is done, and of how much."""


@dataclass(frozen=True)
class Options:
    """`supernets`: folders by name, the first one gets the scenarios. `shares`: budgets as shares of the full model's
    latency and memory. `n_images` of each task's test; `subnets` of the campaign on this machine; `until` of the
    baselines' training, `workers` of which run side by side, and `prune_tries` of Prune&Tune at a budget; `methods` are
    those that are run.
    """

    supernets: dict[str, Path]
    tasks: tuple[str, ...] = TASKS
    shares: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.7)
    n_images: int = 500
    subnets: int = 300
    seed: int = 0
    until: UntilFlat = field(default_factory=UntilFlat)
    prune_tries: int = 8
    workers: int = 1
    methods: tuple[str, ...] = METHODS

    def __post_init__(self) -> None:
        if not self.supernets:
            raise InputError("an evaluation needs at least one supernet")
        if self.n_images < 2 or self.subnets < 20:
            raise InputError(f"it needs 2 images and 20 subnets or more, got {self.n_images} and {self.subnets}")
        unknown = [method for method in self.methods if method not in METHODS]
        if unknown:
            raise InputError(f"unknown method {unknown[0]!r}; there are: {', '.join(METHODS)}")
        if self.workers < 1:
            raise InputError(f"at least one model is trained at a time, got {self.workers} workers")
        if not all(0 < share <= 1 for share in self.shares):
            raise InputError(f"budgets are shares in (0, 1] of the full model's cost, got {self.shares}")


def default_tasks(domain: TaskDomain) -> tuple[str, ...]:
    """The scenarios' tasks where a user names none: NumVQA's of the paper, else from that with the fewest objects to
    learn from to that with the most, in equal steps. Raises `InputError` where the data cover none."""
    covered = [task for task in domain.tasks if all(domain.covers(task, split) for split in get_args(Split))]
    counts = {str(task): domain.count(task) for task in covered}
    known = {task: count for task, count in counts.items() if count is not None}
    if not known and set(TASKS) <= set(counts):
        return TASKS
    if not known:
        raise InputError(f"{domain.data} has no task with objects in training, validation and test images")
    ranked = sorted(known, key=lambda task: known[task])
    steps = np.linspace(0, len(ranked) - 1, min(_N_TASKS, len(ranked))).round().astype(int)
    return tuple(ranked[step] for step in steps)
