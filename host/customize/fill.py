"""Fill: spend what Algorithm 1 leaves of a budget on the closed modules that the assembler wanted most.

Only modules that the assembler opens for this task at some limit may be opened. Others belong to other tasks and were
never trained to work with this one's: opening them costs accuracy down to chance (`allowed_by`).

This is a knapsack problem with one constraint per bound. Modules of one site cost the same, so within a site they open
in the order of their weight. HiGHS finds how many each site gets, exactly if cost is linear in the counts. Other
costs (products of two sites, steps of a kernel's tile) are linearised around the last answer and solved again; the
estimated cost, never the linearisation, decides what fits. A last pass adds single modules until nothing more fits,
beginning with those that cost nothing because a kernel's tile is not full.

A module is worth the sigmoid of its weight. The assembler opens a module if its weight is positive, so the weights of
closed modules are mostly negative; but only their order matters. The sigmoid keeps that order, gives every module a
positive worth, and lets one module that is clearly wanted count for several that are hardly wanted.

Shapes: `N` modules of all sites, `L` sites, `b` bounds, `m` modules that may be opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.special import expit

from ..costs import Budget, CostModel
from ..errors import InputError
from ..gates import BoolArray, Gates
from .algorithm1 import Candidates

FloatArray = NDArray[np.float64]

_ROUNDS = 4
_SPAN = 8  # slopes are taken over this part of a site, so that a step of a kernel's tile does not hide what it costs
_GAP = 1e-3  # of the worth of what is opened: far less than the weights are certain
_SECONDS = 0.01  # where many modules are worth almost the same, proving the optimum can take minutes


@dataclass(frozen=True)
class Filling:
    """One budget to be filled by the modules of `start` and those worth most beside them.

    `values` `(N,)` is what each module is worth; `start` fits the budget.
    """

    start: Gates
    values: FloatArray
    allowed: BoolArray
    budget: Budget
    cost_model: CostModel

    def __post_init__(self) -> None:
        for name in ("values", "allowed"):
            shape = getattr(self, name).shape
            if shape != (self.start.space.total,):
                raise InputError(f"{name} must have shape ({self.start.space.total},), got {shape}")

    @cached_property
    def most(self) -> tuple[int, ...]:
        """How many modules may be open at each site, `(L,)`."""
        return Gates(self.start.space, self.allowed | self.start.bits).counts

    @property
    def bounds(self) -> FloatArray:
        """The bounds that are set, `(b,)`."""
        return np.array(list(self.budget.given.values()))

    def costs(self, gates: Sequence[Gates]) -> FloatArray:
        """Upper ends of the bounded costs, `(n, b)`; infinite where not known."""
        uppers = [estimate.upper for estimate in self.cost_model(gates)]
        known = [[getattr(upper, name) for name in self.budget.given] for upper in uppers]
        return np.array([[np.inf if value is None else value for value in row] for row in known])

    def worth(self, gates: Gates) -> float:
        return float(self.values[gates.bits].sum())

    def fits(self, costs: FloatArray) -> NDArray[np.bool_]:
        """`(n, b)` -> `(n,)`."""
        fits: NDArray[np.bool_] = np.all(costs <= self.bounds, axis=1)
        return fits

    def opened(self, gates: Gates, site: int, count: int) -> Gates:
        """`gates` with `count` modules open at a site, those of `start` first, then the allowed ones worth most."""
        bits = gates.bits.copy()
        where = self.start.space.slices[site]
        order = np.lexsort((-self.values[where], ~self.allowed[where], ~self.start.bits[where]))  # (D,)
        bits[where] = False
        bits[where.start + order[:count]] = True
        return Gates(self.start.space, bits)


def value_of_modules(weights: FloatArray) -> FloatArray:
    """Weights of the assembler `(N,)` to what opening a module is worth, in (0, 1)."""
    values: FloatArray = expit(np.asarray(weights, float))
    return values


def allowed_by(candidates: Candidates) -> BoolArray:
    """The modules that the assembler opens for a task at any of its limits, `(N,)`."""
    allowed: BoolArray = np.any([item.gates.bits for item in candidates.items], axis=0)
    return allowed


def fill(
    start: Gates,
    weights: FloatArray,
    allowed: BoolArray,
    budget: Budget,
    cost_model: CostModel,
    *,
    gap: float = _GAP,
    seconds: float = _SECONDS,
) -> Gates:
    """The modules of `start` and all `allowed` `(N,)` that still fit, worth as much as possible by `weights` `(N,)`.

    Returns `start` if it does not fit itself. A solution may fall short of the optimum by the share `gap`. After
    `seconds`, the best solution so far is returned.
    """
    filling = Filling(start, value_of_modules(weights), allowed, budget, cost_model)
    if not filling.fits(filling.costs([start]))[0]:
        return start
    best = around = start
    for _ in range(_ROUNDS):
        slopes, at = _slopes(filling, around)
        answer = _knapsack(filling, around, slopes, at, {"mip_rel_gap": gap, "time_limit": seconds})
        if answer is None or answer == around:
            break
        around = answer
        if filling.fits(filling.costs([answer]))[0] and filling.worth(answer) > filling.worth(best):
            best = answer
    return _open_singly(filling, best)


def _slopes(filling: Filling, gates: Gates) -> tuple[FloatArray, FloatArray]:
    """What a module more costs at each site around `gates`, `(L, b)`, and the cost there, `(b,)`."""
    sites, counts = gates.space.sites, gates.counts
    spans = [max(1, site.width // _SPAN) for site in sites]
    above = [min(site.width, n + span) for site, n, span in zip(sites, counts, spans, strict=True)]
    below = [max(1, n - span) for n, span in zip(counts, spans, strict=True)]
    asked = [gates]
    for site in range(len(sites)):
        for count in (above[site], below[site]):
            asked.append(gates.space.from_counts([*counts[:site], count, *counts[site + 1 :]]))
    costs = filling.costs(asked)  # (1 + 2 L, b)
    distance = np.maximum(np.subtract(above, below), 1)  # (L,)
    slopes = (costs[1::2] - costs[2::2]) / distance[:, None]  # (L, b)
    return np.maximum(slopes, 0.0), costs[0]


def _knapsack(
    filling: Filling, around: Gates, slopes: FloatArray, at: FloatArray, options: dict[str, float]
) -> Gates | None:
    """The best filling if costs were linear around `around`; None if the solver has none, in time or at all."""
    start = filling.start
    site_of = np.repeat(np.arange(len(start.space.sites)), [site.width for site in start.space.sites])  # (N,)
    closed = np.flatnonzero(filling.allowed & ~start.bits)  # (m,)
    if not len(closed):
        return start
    spent = at + (np.array(start.counts) - np.array(around.counts)) @ slopes  # of the start, as the line has it: (b,)
    share = slopes / filling.bounds  # (L, b), so that milliseconds and mebibytes are of one size
    answer = milp(
        c=-filling.values[closed],
        integrality=np.ones(len(closed)),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(share[site_of[closed]].T, ub=1 - spent / filling.bounds),
        options=options,
    )
    if answer.x is None:
        return None
    more = np.bincount(site_of[closed], weights=answer.x > 0.5, minlength=len(start.counts)).astype(int)  # (L,)
    gates = start
    for site in np.flatnonzero(more):
        gates = filling.opened(gates, int(site), start.counts[site] + int(more[site]))
    return gates


def _open_singly(filling: Filling, gates: Gates) -> Gates:
    """Open module after module until no other fits: first those that cost nothing, then those worth most for it."""
    spent = filling.costs([gates])[0]  # (b,)
    while True:
        sites = [site for site, most in enumerate(filling.most) if gates.counts[site] < most]
        following = [filling.opened(gates, site, gates.counts[site] + 1) for site in sites]
        if not following:
            return gates
        costs = filling.costs(following)  # (n, b)
        worth = np.array([filling.worth(each) for each in following])  # (n,)
        gain = worth - filling.worth(gates)
        rise = np.maximum((costs - spent) / filling.bounds, 0.0).max(1)  # (n,)
        rank = np.where(filling.fits(costs), gain / np.maximum(rise, 1e-12), -np.inf)
        best = int(rank.argmax())
        if rank[best] == -np.inf:
            return gates
        gates, spent = following[best], costs[best]
