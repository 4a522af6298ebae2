"""Every architecture predicted by a fit that had not seen it, with its interval.

Shapes: `n` architectures, `L` recorded features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...architecture import Architecture
from ...profiling.columns import RecordColumns, Recorded
from ...spaces.base import FeatureSpace
from ...spaces.features import FloatArray
from ..base import DEFAULT, PREDICTORS, Quantity
from ..fitting import costs_of, known
from ..folds import folds_of


@dataclass(frozen=True)
class HeldOut:
    """First measurements, `(n,)` each but `features` `(n, L)`; latencies are without drift if records are."""

    quantity: Quantity
    features: FloatArray
    measured: FloatArray
    predicted: FloatArray
    low: FloatArray
    high: FloatArray
    confidence: float


def held_out(
    quantity: Quantity,
    records: Recorded,
    space: FeatureSpace[Architecture],
    confidence: float = 0.9,
    predictor: str = DEFAULT,
) -> HeldOut:
    """Cross-validate over architectures; what was measured twice is on one side.

    Raises: `InputError` as `fit_predictors` does.
    """
    columns = RecordColumns.of(records)
    columns.check_space(space)
    rows, costs = costs_of(columns, quantity, space)
    folds = folds_of(rows)
    is_first = columns.of_kind("subnet")[known(columns, quantity)]
    features, measured = rows[is_first], costs[is_first]
    ends = np.empty((3, len(measured)))  # predicted, low, high
    for fold in np.unique(folds):
        here = folds[is_first] == fold
        if here.any():
            fitted = PREDICTORS.get(predictor)(space, quantity).fit(rows[folds != fold], costs[folds != fold])
            ends[:, here] = fitted.predict(features[here]), *fitted.interval(features[here], confidence)
    predicted, low, high = ends
    return HeldOut(quantity, features, measured, predicted, low, high, confidence)
