"""From a campaign's records to fitted predictors.

Shapes: `n` records, `v` verified models, `L` recorded features.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..architecture import Architecture
from ..errors import InputError
from ..profiling.records import Record
from ..profiling.verifications import VerificationRecord
from ..spaces.base import FeatureSpace
from ..spaces.features import FloatArray
from .base import DEFAULT, PREDICTORS, Predictor, Quantity
from .drift.correction import drift_of, teaching

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
    records: Iterable[Record],
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
    kind, records = PREDICTORS.get(predictor), list(records)
    rows = usable(records)
    latencies = table(rows, "latency", space)  # checks that they are of this space
    if drift:
        latencies = table(usable(teaching(records, drift_of(records, space))), "latency", space)
    seen = [(each.features, each.latency_ms) for each in verifications]
    latency = kind(space, "latency").fit(*_joined(latencies, seen))
    memories = table([row for row in rows if row.memory_mib is not None], "memory", space)
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


def usable(records: Iterable[Record]) -> list[Record]:
    """What predictors learn from: first and second measurements. One sentinel many times would outweigh the rest."""
    return [record for record in records if record.error is None and record.kind != "sentinel"]


def value(record: Record, quantity: Quantity) -> float | None:
    return record.latency_ms if quantity == "latency" else record.memory_mib


def table(records: Sequence[Record], quantity: Quantity, space: FeatureSpace[Architecture]) -> Table:
    """Recorded features and costs of records that have them. Raises `InputError` for records of another space."""
    n_features = len(space.feature_names)
    for record in records:
        architecture = record.architecture
        if (architecture.kind, len(architecture.features)) != (space.kind, n_features):
            raise InputError(
                f"position {record.position} measured an architecture of the kind {architecture.kind!r} with "
                f"{len(architecture.features)} features, this space is of the kind {space.kind!r} with {n_features}; "
                "use the records of one space"
            )
    features = np.array([record.features for record in records], float).reshape(-1, n_features)  # (n, L)
    return features, np.array([value(record, quantity) for record in records], float)  # (n,)
