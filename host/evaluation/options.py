"""What an evaluation covers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from ..tasks import Task, numvqa
from ..training.single import UntilFlat

LIMITS = (0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
TASKS = ("has, 0", "only two, 1", "only two, odd", "only one, 3", "only two, 5")
"""Those of the paper's Table 2 that it tells most about, and one that is never trained."""

Say = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much."""


@dataclass(frozen=True)
class Options:
    """`supernets`: folders by name, the first one gets the scenarios. `shares`: budgets as shares of the full model's
    latency and memory. `n_images` of each task's test; `subnets` of the campaign on this machine; `until` of the
    baselines' training, `workers` of which run side by side, and `prune_tries` of Prune&Tune at a budget.
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

    def __post_init__(self) -> None:
        if not self.supernets:
            raise InputError("an evaluation needs at least one supernet")
        if self.n_images < 2 or self.subnets < 20:
            raise InputError(f"it needs 2 images and 20 subnets or more, got {self.n_images} and {self.subnets}")
        if self.workers < 1:
            raise InputError(f"at least one model is trained at a time, got {self.workers} workers")
        if not all(0 < share <= 1 for share in self.shares):
            raise InputError(f"budgets are shares in (0, 1] of the full model's cost, got {self.shares}")

    @property
    def parsed_tasks(self) -> tuple[Task, ...]:
        return tuple(numvqa.SPACE.parse(text) for text in self.tasks)
