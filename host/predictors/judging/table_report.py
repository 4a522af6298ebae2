"""One report on any table of measurements: how well its latencies can be predicted, and what limits that.

Shapes: `n` rows, `F` features.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn import config_context

from ...spaces.features import FloatArray
from ..drift.predictor import DriftingPredictor
from ..folds import N_FOLDS, folds_of
from .metrics import errors_of, mape, noise_floor, percent_off
from .table import FeatureTable

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
    errors = errors_of(true, predicted)
    return TableReport(
        mape=errors.mape,
        within_5=errors.within_5,
        within_10=errors.within_10,
        spearman=errors.spearman,
        coverage_90=float(covered.mean()),
        noise_floor=_noise_floor(table),
        drift_lag1=None if table.order is None else _lag1(np.log(true / plain)[np.argsort(table.order, kind="stable")]),
        learning_curve=_learning_curve(table),
        plain_mape=mape(true, plain),
        n_rows=len(true),
        n_features=len(table.names),
        degrees=tuple(found.degree_ for found in predictors),
        neighbours=tuple(found.neighbours_ for found in predictors),
    )


def _noise_floor(table: FeatureTable) -> float | None:
    rows = zip(table.features, table.latencies.tolist(), strict=True)
    return noise_floor((features.tobytes(), latency) for features, latency in rows)


def _held_out(
    table: FeatureTable, order: FloatArray | None
) -> tuple[FloatArray, FloatArray, list[DriftingPredictor]]:
    """Predictions `(n,)`, whether the interval held the measurement `(n,)`, and the predictor of each fold."""
    predicted, covered = np.empty(len(table.latencies)), np.empty(len(table.latencies))
    predictors = []
    folds = folds_of(np.arange(len(predicted)))
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
    folds = folds_of(np.arange(len(table.latencies)))
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
            errors.append(percent_off(table.latencies[test], predicted))
        points.append(LearningPoint(size, float(np.concatenate(errors).mean())))
    return tuple(points)
