"""What a budget buys: the assembler's answers to a task that no other beats in cost and score at once.

The score of a subnet is how much of what the assembler wants for the task is open: the sigmoids of its modules'
weights, summed over the open ones and divided by the sum over all that it opens for the task at any limit.

Shapes: `n` points, `k` costs and score together, `N` modules of all sites.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from edgewright.device_agent.template import Template

from ..assembler.assembler import Assembler
from ..costs import CostModel
from ..gates import Gates
from ..search.dominance import non_dominated
from ..tasks import Task
from .algorithm1 import ask_all_limits
from .fill import allowed_by, value_of_modules


@dataclass(frozen=True)
class ParetoPoint:
    """One subnet; costs are predicted, the file size is exact. `memory_mib` is None if the device reports none."""

    gates: Gates
    limit: float
    latency_ms: float
    memory_mib: float | None
    size_mib: float
    score: float


def pareto_points(assembler: Assembler, template: Template, cost_model: CostModel, task: Task) -> list[ParetoPoint]:
    """All answers to a task, smallest first."""
    candidates = ask_all_limits(assembler, task, cost_model)
    largest = candidates.items[-1].request
    values = value_of_modules(assembler.weights([largest])[0].double().numpy())  # (N,)
    wanted = float(values[allowed_by(candidates)].sum())
    points = []
    for item in candidates.items:
        cost, gates = item.predicted, item.gates
        if cost.latency_ms is None:
            continue
        size_mib = len(template.emit(gates.pack())) / 2**20
        score = float(values[gates.bits].sum()) / wanted
        points.append(ParetoPoint(gates, item.request.limit, cost.latency_ms, cost.memory_mib, size_mib, score))
    return points


def pareto_front(points: Sequence[ParetoPoint]) -> tuple[ParetoPoint, ...]:
    """Those that no other point dominates in the costs and the score, in their order."""
    if not points:
        return ()
    rows = np.array([[p.latency_ms, p.memory_mib or 0.0, p.size_mib, -p.score] for p in points])  # (n, k)
    return tuple(point for point, kept in zip(points, non_dominated(rows), strict=True) if kept)
