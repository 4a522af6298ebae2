"""Every subnet predicted by a fit that had not seen it, with its interval.

Shapes: `n` subnets, `L` sites.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...gates import GateSpace, Layer
from ...profiling.records import Record
from ..features import FloatArray
from ..fitting import Quantity, fit_predictors, table, usable, value

_FOLDS = 5


@dataclass(frozen=True)
class HeldOut:
    """First measurements of subnets, `(n,)` each but `counts` `(n, L)`; latencies are without drift if records are."""

    quantity: Quantity
    counts: FloatArray
    measured: FloatArray
    predicted: FloatArray
    low: FloatArray
    high: FloatArray
    confidence: float


def held_out(
    quantity: Quantity,
    records: Sequence[Record],
    space: GateSpace,
    layers: Sequence[Layer],
    confidence: float = 0.9,
) -> HeldOut:
    """Cross-validate over subnets; what was measured twice is on one side. Raises what `fit_predictors` raises."""
    rows = [record for record in usable(records) if value(record, quantity) is not None]
    subnets = sorted({row.counts for row in rows})
    fold_of = {counts: number % _FOLDS for number, counts in enumerate(subnets)}
    first = [row for row in rows if row.kind == "subnet"]
    counts, measured = table(first, quantity, space)
    folds = np.array([fold_of[row.counts] for row in first])
    ends = np.empty((3, len(first)))  # predicted, low, high
    for fold in range(_FOLDS):
        here = folds == fold
        if not here.any():
            continue
        fitted = fit_predictors([row for row in rows if fold_of[row.counts] != fold], space, layers, drift=False)
        predictor = fitted.latency if quantity == "latency" else fitted.memory
        if predictor is not None:
            ends[:, here] = predictor.predict(counts[here]), *predictor.interval(counts[here], confidence)
    predicted, low, high = ends
    return HeldOut(quantity, counts, measured, predicted, low, high, confidence)
