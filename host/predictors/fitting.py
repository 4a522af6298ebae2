"""From a campaign's records to fitted predictors.

Shapes: `n` records, `v` verified models, `L` recorded features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..architecture import Architecture
from ..errors import InputError
from ..profiling.columns import BoolArray, RecordColumns, Recorded
from ..profiling.verifications import VerificationRecord
from ..spaces.base import FeatureSpace
from ..spaces.features import FloatArray
from .base import DEFAULT, PREDICTORS, Predictor, Quantity
from .drift.correction import drift_of, undisturbed

Table = tuple[FloatArray, FloatArray]
"""Recorded features `(n, L)` and costs `(n,)`."""


@dataclass(frozen=True)
class CostPredictors:
    """Both predictors of one device. `memory` is None where the device does not say how much it used."""

    latency: Predictor
    memory: Predictor | None
    name: str = DEFAULT

    def to_json(self) -> dict[str, Any]:
        memory = None if self.memory is None else self.memory.to_json()
        return {"predictor": self.name, "latency": self.latency.to_json(), "memory": memory}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], space: FeatureSpace[Architecture]) -> CostPredictors:
        """The inverse of `to_json`. Raises `InputError` when `data` is not a pair of predictors of that space."""
        if not isinstance(data, Mapping) or set(data) != {"predictor", "latency", "memory"}:
            raise InputError("this is not a saved pair of predictors; fit one with: edgewright predictor fit")
        kind = PREDICTORS.get(str(data["predictor"]))
        memory = None if data["memory"] is None else kind.from_json(data["memory"], space, "memory")
        return cls(kind.from_json(data["latency"], space, "latency"), memory, str(data["predictor"]))


def fit_predictors(
    records: Recorded,
    space: FeatureSpace[Architecture],
    drift: bool = True,
    verifications: Sequence[VerificationRecord] = (),
    predictor: str = DEFAULT,
) -> CostPredictors:
    """Fit latency and memory on all records but failures and sentinels.

    With `drift`, what the device's changes of speed did to latencies is taken out first. Each model verified on the
    device is a row more.

    Raises:
        InputError: too few records, records of another space, or no predictor of that name.
    """
    kind, columns = PREDICTORS.get(predictor), RecordColumns.of(records)
    columns.check_space(space)
    taught = undisturbed(columns, drift_of(columns, space)) if drift else columns
    seen = [(each.features, each.latency_ms) for each in verifications]
    latency = kind(space, "latency").fit(*_joined(costs_of(taught, "latency", space), seen))
    memories = costs_of(columns, "memory", space)
    if not len(memories[1]):
        return CostPredictors(latency, None, predictor)
    weighed = [(each.features, each.memory_mib) for each in verifications if each.memory_mib is not None]
    return CostPredictors(latency, kind(space, "memory").fit(*_joined(memories, weighed)), predictor)


def _joined(measured: Table, verified: Sequence[tuple[tuple[float, ...], float]]) -> Table:
    features, costs = measured
    if not verified:
        return measured
    more = np.array([row for row, _ in verified], float)  # (v, L)
    return np.concatenate([features, more]), np.concatenate([costs, [cost for _, cost in verified]])


def costs_of(columns: RecordColumns, quantity: Quantity, space: FeatureSpace[Architecture]) -> Table:
    """What predictors of one cost learn from, of records of that space: the `known` ones."""
    rows, costs = known(columns, quantity), _costs(columns, quantity)
    return columns.recorded[rows].reshape(-1, len(space.feature_names)), costs[rows]


def known(columns: RecordColumns, quantity: Quantity) -> BoolArray:
    """`(n,)`: which records predictors of one cost learn from."""
    return columns.usable & ~np.isnan(_costs(columns, quantity))


def _costs(columns: RecordColumns, quantity: Quantity) -> FloatArray:
    return columns.latency_ms if quantity == "latency" else columns.memory_mib
