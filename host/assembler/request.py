"""A request: what the assembler turns into gates."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import InputError
from ..tasks import Task


@dataclass(frozen=True)
class Request:
    """A task and the largest share of modules, in (0, 1], that may be active."""

    task: Task
    limit: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.limit) and 0 < self.limit <= 1):
            raise InputError(f"an activation limit must lie in (0, 1], got {self.limit}")
