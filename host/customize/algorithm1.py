"""Algorithm 1 of NN-Factory, all limits in one batched pass.

The paper raises the limit step by step and stops at the first subnet that is too slow. Here all limits are evaluated
at once, which costs one pass. The largest subnet that is predicted to fit is taken, even if the predicted cost does not
rise with every limit.

Shapes: `n` candidates, `L` sites.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..assembler.assembler import Assembler
from ..assembler.limits import smallest_limit
from ..assembler.request import Request
from ..costs import Budget, Cost, CostModel, Estimate
from ..gates import Gates
from ..tasks import Task


@dataclass(frozen=True)
class Candidate:
    """The assembler's answer to one limit, and what it is predicted to cost. `filled`: more modules were opened then,
    up to the budget, and the limit no longer bounds them."""

    request: Request
    gates: Gates
    estimate: Estimate
    filled: bool = False

    @property
    def predicted(self) -> Cost:
        return self.estimate.predicted


@dataclass(frozen=True)
class Candidates:
    """All that the assembler offers for one task, smallest first, without duplicates."""

    items: tuple[Candidate, ...]

    def fitting(self, budget: Budget, correction: Cost | None = None) -> list[Candidate]:
        """Those predicted to fit, the largest first.

        `correction` holds measured over predicted of an earlier try; predictions are scaled by it, upwards only.
        """
        fitting = [item for item in self.items if budget.fits(corrected(item.estimate.upper, correction))]
        return sorted(fitting, key=lambda item: item.gates.ratio, reverse=True)

    def least(self, name: str) -> Candidate:
        """The candidate with the lowest predicted `latency_ms`, `memory_mib` or `size_mib`."""
        return min(self.items, key=lambda item: getattr(item.predicted, name))

    def cheapest(self, budget: Budget) -> Candidate:
        """The one that comes closest to fitting: its worst bound is exceeded least."""
        return min(self.items, key=lambda item: max(budget.misses(item.estimate.upper).values(), default=0.0))


def limits_in_percent(lowest: float) -> list[float]:
    """1 %, 2 %, ... 100 %, without those below `lowest`."""
    return [percent / 100 for percent in range(1, 101) if percent / 100 >= lowest]


def ask_all_limits(assembler: Assembler, task: Task, cost_model: CostModel) -> Candidates:
    """The assembler's gates for every whole percent, each predicted once."""
    requests = [Request(task, limit) for limit in limits_in_percent(smallest_limit(assembler.space))]
    different: dict[Gates, Request] = {}
    for request, gates in zip(requests, assembler.assemble(requests), strict=True):
        different.setdefault(gates, request)
    estimates = cost_model(list(different))
    items = [Candidate(r, g, e) for (g, r), e in zip(different.items(), estimates, strict=True)]
    return Candidates(tuple(sorted(items, key=lambda item: item.gates.ratio)))


def corrected(cost: Cost, correction: Cost | None) -> Cost:
    """`cost` scaled by measured over predicted, upwards only: a device faster than usual may not stay so."""
    if correction is None:
        return cost
    scaled = {}
    for name, value in cost.to_json().items():
        factor = getattr(correction, name)
        scaled[name] = None if value is None else value * max(1.0, factor or 1.0)
    return Cost(**scaled)
