"""One report on any table of measurements: how well its latencies can be predicted, and what stands in the way.

Shapes: `n` rows, `F` features.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn import config_context

from ..drift.predictor import DriftingPredictor, folds_of
from ..features import FloatArray
from .table import FeatureTable

N_FOLDS = 5
_CONFIDENCE = 0.9
_SMALLEST_PART = 20


@dataclass(frozen=True)
class LearningPoint:
    """Held-out MAPE in percent after `n_train` rows, which cover the whole time."""

    n_train: int
    mape: float


@dataclass(frozen=True)
class TableReport:
    """Errors on rows that were held out, in percent; `coverage_90` is a fraction.

    `noise_floor` is the mean difference in percent between rows of equal features and the one before; None where
    nothing was measured twice. `drift_lag1` is the autocorrelation of neighbouring rows' errors under a model without
    drift, whose error is `plain_mape`: near 0 where the order does not matter, None where it is not known.
    """

    mape: float
    within_5: float
    within_10: float
    spearman: float | None
    coverage_90: float
    noise_floor: float | None
    drift_lag1: float | None
    learning_curve: tuple[LearningPoint, ...]
    plain_mape: float
    n_rows: int
    n_features: int
    degrees: tuple[int, ...]
    neighbours: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def judge(table: FeatureTable) -> TableReport:
    """Cross-validate over the rows in their order; every choice of a predictor is made on its training rows alone.

    Deterministic: there is nothing random in it.
    """
    # The table was checked when it was made: thousands of small fits need not check it again.
    with config_context(assume_finite=True, skip_parameter_validation=True):
        return _judged(table)


def _judged(table: FeatureTable) -> TableReport:
    true = table.latencies
    predicted, covered, predictors = _held_out(table, table.order)
    plain = predicted if table.order is None else _held_out(table, None)[0]
    error = 100 * np.abs(predicted - true) / true  # (n,)
    varies = np.ptp(true) > 0 and np.ptp(predicted) > 0
    return TableReport(
        mape=float(error.mean()),
        within_5=100 * float((error <= 5).mean()),
        within_10=100 * float((error <= 10).mean()),
        spearman=float(spearmanr(true, predicted).statistic) if varies else None,
        coverage_90=float(covered.mean()),
        noise_floor=noise_floor(table),
        drift_lag1=None if table.order is None else _lag1(np.log(true / plain)[np.argsort(table.order, kind="stable")]),
        learning_curve=_learning_curve(table),
        plain_mape=100 * float((np.abs(plain - true) / true).mean()),
        n_rows=len(true),
        n_features=len(table.names),
        degrees=tuple(found.degree_ for found in predictors),
        neighbours=tuple(found.neighbours_ for found in predictors),
    )


def noise_floor(table: FeatureTable) -> float | None:
    """How much a row differs from the one of equal features before it, in percent on average; None without any."""
    before: dict[bytes, float] = {}
    differences = []
    for features, latency in zip(table.features, table.latencies, strict=True):
        key = features.tobytes()
        if key in before:
            differences.append(abs(latency - before[key]) / before[key])
        before[key] = latency
    return 100 * float(np.mean(differences)) if differences else None


def _held_out(
    table: FeatureTable, order: FloatArray | None
) -> tuple[FloatArray, FloatArray, list[DriftingPredictor]]:
    """Predictions `(n,)`, whether the interval held the measurement `(n,)`, and the predictor of each fold."""
    predicted, covered = np.empty(len(table.latencies)), np.empty(len(table.latencies))
    predictors = []
    folds = folds_of(len(predicted), N_FOLDS)
    for fold in range(N_FOLDS):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        predictor = _fitted(table, order, train)
        when = None if order is None else order[test]
        low, high = predictor.interval(table.features[test], when, _CONFIDENCE)
        predicted[test] = predictor.predict(table.features[test], when)
        covered[test] = (low <= table.latencies[test]) & (table.latencies[test] <= high)
        predictors.append(predictor)
    return predicted, covered, predictors


def _fitted(table: FeatureTable, order: FloatArray | None, rows: np.ndarray[Any, Any]) -> DriftingPredictor:
    when = None if order is None else order[rows]
    return DriftingPredictor().fit(table.features[rows], table.latencies[rows], when)


def _lag1(errors: FloatArray) -> float | None:
    """Correlation of each error with the next one."""
    if np.ptp(errors[1:]) == 0 or np.ptp(errors[:-1]) == 0:
        return None
    return float(np.corrcoef(errors[:-1], errors[1:])[0, 1])


def _learning_curve(table: FeatureTable) -> tuple[LearningPoint, ...]:
    """The training rows are doubled from 20 up to all; each size is tested on every fold."""
    folds = folds_of(len(table.latencies), N_FOLDS)
    whole = int((folds != N_FOLDS - 1).sum())
    sizes = [_SMALLEST_PART * 2**power for power in range(20) if _SMALLEST_PART * 2**power < whole]
    points = []
    for size in [*sizes, whole]:
        errors = []
        for fold in range(N_FOLDS):
            train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            part = train[np.linspace(0, len(train) - 1, min(size, len(train))).round().astype(int)]
            when = None if table.order is None else table.order[test]
            predicted = _fitted(table, table.order, part).predict(table.features[test], when)
            errors.append(np.abs(predicted - table.latencies[test]) / table.latencies[test])
        points.append(LearningPoint(size, 100 * float(np.concatenate(errors).mean())))
    return tuple(points)
