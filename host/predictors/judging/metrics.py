"""Errors of predictions in percent, and the noise floor beside them: the same figures wherever something is judged.

Shapes: `n` rows.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from ...spaces.features import FloatArray


@dataclass(frozen=True)
class Errors:
    """Percentages but for `spearman`, which is None where a side is constant."""

    mape: float
    within_5: float
    within_10: float
    spearman: float | None

    @property
    def accuracy(self) -> float:
        """As NN-Factory states it."""
        return 100 - self.mape


def errors_of(true: FloatArray, predicted: FloatArray) -> Errors:
    """Of measured `(n,)` and predicted `(n,)` values, all above 0."""
    error = percent_off(true, predicted)  # (n,)
    varies = np.ptp(true) > 0 and np.ptp(predicted) > 0
    return Errors(
        mape=float(error.mean()),
        within_5=100 * float((error <= 5).mean()),
        within_10=100 * float((error <= 10).mean()),
        spearman=float(spearmanr(true, predicted).statistic) if varies else None,
    )


def percent_off(true: FloatArray, predicted: FloatArray) -> FloatArray:
    """`(n,)`: absolute errors relative to what was measured."""
    off: FloatArray = 100 * np.abs(predicted - true) / true
    return off


def mape(true: FloatArray, predicted: FloatArray) -> float:
    return float(percent_off(true, predicted).mean())


def repeat_differences(measured: Iterable[tuple[Hashable, float]]) -> list[float]:
    """How far each value is from the one of the same key before it, in percent of that."""
    before: dict[Hashable, float] = {}
    differences = []
    for key, value in measured:
        if key in before:
            differences.append(100 * abs(value - before[key]) / before[key])
        before[key] = value
    return differences


def noise_floor(measured: Iterable[tuple[Hashable, float]]) -> float | None:
    """Mean of `repeat_differences`: no predictor can be expected to err less. None where nothing was repeated."""
    differences = repeat_differences(measured)
    return float(np.mean(differences)) if differences else None
