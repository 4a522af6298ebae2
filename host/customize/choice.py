"""Choose the subnet to try: ask the assembler, predict, fill the budget, and step down after a miss on the device.

This is computation alone: no device and no file is involved.

Shapes: `N` modules of all sites.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property

from ..architecture import Architecture
from ..assembler.assembler import Assembler
from ..costs import Budget, Cost, CostModel, Estimate
from ..tasks import Task
from .algorithm1 import Candidate, Candidates, ask_all_limits, corrected
from .fill import allowed_by, fill


@dataclass(frozen=True)
class Try:
    """A candidate, and what its model cost on the device."""

    candidate: Candidate
    measured: Cost


@dataclass(frozen=True)
class Choice:
    """What the assembler offers for a task, against a budget. `fills`: spend what Algorithm 1 leaves of it."""

    assembler: Assembler
    task: Task
    budget: Budget
    predict: CostModel
    fills: bool = True

    @cached_property
    def candidates(self) -> Candidates:
        return ask_all_limits(self.assembler, self.task, self.predict)

    def first(self) -> Candidate:
        """The largest subnet predicted to fit, filled up to the budget; where none is, the one that comes closest."""
        fitting = self.candidates.fitting(self.budget)
        return self._filled(fitting[0]) if fitting else self.candidates.cheapest(self.budget)

    def following(self, tries: Sequence[Try]) -> Candidate | None:
        """The largest subnet, smaller than the last, that is predicted to fit once predictions are scaled by what all
        tries measured; None where there is none."""
        return replace(self, predict=scaled(self.predict, correction(self.predict, tries)))._below(
            tries[-1].candidate.gates.ratio
        )

    def _below(self, ratio: float) -> Candidate | None:
        smaller = [each for each in self.candidates.fitting(self.budget) if each.gates.ratio < ratio]
        if not smaller:
            return None
        filled = self._filled(smaller[0])
        return filled if filled.gates.ratio < ratio else smaller[0]

    def _filled(self, candidate: Candidate) -> Candidate:
        if not self.fills:
            return candidate
        weights = self.assembler.weights([candidate.request])[0].double().numpy()  # (N,)
        gates = fill(candidate.gates, weights, allowed_by(self.candidates), self.budget, self.predict)
        return replace(candidate, gates=gates, estimate=self.predict([gates])[0], filled=gates != candidate.gates)


def correction(predict: CostModel, tries: Sequence[Try]) -> Cost:
    """Measured over predicted, the worst of all tries."""
    estimates = predict([each.candidate.gates for each in tries])
    pairs = [(each.measured, estimate.predicted) for each, estimate in zip(tries, estimates, strict=True)]
    worst = {}
    for name in asdict(pairs[0][0]):
        ratios = [_ratio(getattr(measured, name), getattr(predicted, name)) for measured, predicted in pairs]
        worst[name] = max((ratio for ratio in ratios if ratio is not None), default=None)
    return Cost(**worst)


def _ratio(measured: float | None, predicted: float | None) -> float | None:
    if measured is None or not predicted or not math.isfinite(predicted):
        return None
    return measured / predicted


def scaled(predict: CostModel, factors: Cost) -> CostModel:
    """Predictions scaled by measured over predicted, upwards only."""

    def predict_scaled(architectures: Sequence[Architecture]) -> list[Estimate]:
        return [
            replace(each, predicted=corrected(each.predicted, factors), upper=corrected(each.upper, factors))
            for each in predict(architectures)
        ]

    return predict_scaled


def sized(predict: CostModel, size_mib: Callable[[Architecture], float]) -> CostModel:
    """Predictions with the size of the file; architectures with equal features have files of one size."""
    sizes: dict[tuple[float, ...], float] = {}

    def size_of(architecture: Architecture) -> float:
        features = tuple(architecture.features)
        if features not in sizes:
            sizes[features] = size_mib(architecture)
        return sizes[features]

    def predict_sized(architectures: Sequence[Architecture]) -> list[Estimate]:
        estimates = predict(architectures)
        return [with_size(each, size_of(item)) for each, item in zip(estimates, architectures, strict=True)]

    return predict_sized


def with_size(estimate: Estimate, size_mib: float) -> Estimate:
    predicted, upper = (replace(cost, size_mib=size_mib) for cost in (estimate.predicted, estimate.upper))
    return replace(estimate, predicted=predicted, upper=upper)
