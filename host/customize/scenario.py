"""What a user asks for."""

from __future__ import annotations

from dataclasses import dataclass

from ..costs import Budget
from ..tasks import Task


@dataclass(frozen=True)
class Scenario:
    """A task, the name of a device, and what the model may cost there."""

    task: Task
    device: str
    budget: Budget
