"""Every architecture predicted by a fit that had not seen it, with its interval.

Shapes: `n` architectures, `L` recorded features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...architecture import Architecture
from ...profiling.records import Record
from ...spaces.base import FeatureSpace
from ...spaces.features import FloatArray
from ..base import DEFAULT, Quantity
from ..fitting import fit_predictors, table, usable, value
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
    records: Sequence[Record],
    space: FeatureSpace[Architecture],
    confidence: float = 0.9,
    predictor: str = DEFAULT,
) -> HeldOut:
    """Cross-validate over architectures; what was measured twice is on one side.

    Raises what `fit_predictors` raises.
    """
    rows = [record for record in usable(records) if value(record, quantity) is not None]
    folds = folds_of(table(rows, quantity, space)[0])
    is_first = np.array([row.kind == "subnet" for row in rows])
    features, measured = table([row for row in rows if row.kind == "subnet"], quantity, space)
    ends = np.empty((3, len(measured)))  # predicted, low, high
    for fold in np.unique(folds):
        here = folds[is_first] == fold
        if not here.any():
            continue
        seen = [row for row, other in zip(rows, folds, strict=True) if other != fold]
        fitted = fit_predictors(seen, space, drift=False, predictor=predictor)
        of_quantity = fitted.latency if quantity == "latency" else fitted.memory
        if of_quantity is not None:
            ends[:, here] = of_quantity.predict(features[here]), *of_quantity.interval(features[here], confidence)
    predicted, low, high = ends
    return HeldOut(quantity, features, measured, predicted, low, high, confidence)
