"""From a campaign's records to fitted predictors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..errors import InputError
from ..gates import GateSpace, Layer
from ..profiling.records import Record
from .features import FeatureSet, FloatArray
from .linear import LatencyPredictor, MemoryPredictor

Quantity = Literal["latency", "memory"]


@dataclass(frozen=True)
class CostPredictors:
    """Both predictors of one device. `memory` is None where the device does not say how much it used."""

    latency: LatencyPredictor
    memory: MemoryPredictor | None

    def to_json(self) -> dict[str, Any]:
        memory = None if self.memory is None else self.memory.to_json()
        return {"latency": self.latency.to_json(), "memory": memory}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CostPredictors:
        """The inverse of `to_json`. Raises `InputError` when `data` is not a pair of predictors."""
        if not isinstance(data, Mapping) or set(data) != {"latency", "memory"}:
            raise InputError("this is not a saved pair of predictors; fit one with: edgewright predictor fit")
        memory = None if data["memory"] is None else MemoryPredictor.from_json(data["memory"])
        return cls(LatencyPredictor.from_json(data["latency"]), memory)


def fit_predictors(
    records: Iterable[Record], space: GateSpace, layers: Sequence[Layer], features: FeatureSet = "products"
) -> CostPredictors:
    """Fit latency and memory on all records but failures and sentinels.

    Raises:
        InputError: too few records, or records of another gate space.
    """
    rows = usable(records)
    latency = LatencyPredictor(space, layers, features).fit(*table(rows, "latency", space))
    with_memory = [record for record in rows if record.memory_mib is not None]
    memory = MemoryPredictor(space, layers, features).fit(*table(with_memory, "memory", space)) if with_memory else None
    return CostPredictors(latency, memory)


def usable(records: Iterable[Record]) -> list[Record]:
    """What predictors learn from: first and second measurements. One sentinel many times would outweigh the rest."""
    return [record for record in records if record.error is None and record.kind != "sentinel"]


def value(record: Record, quantity: Quantity) -> float | None:
    return record.latency_ms if quantity == "latency" else record.memory_mib


def table(records: Sequence[Record], quantity: Quantity, space: GateSpace) -> tuple[FloatArray, FloatArray]:
    """Counts `(n, L)` and costs `(n,)` of records that have them. Raises `InputError` for another supernet."""
    n_sites = len(space.sites)
    foreign = next((record for record in records if len(record.counts) != n_sites), None)
    if foreign is not None:
        raise InputError(
            f"position {foreign.position} was measured on a supernet of {len(foreign.counts)} sites, this one has "
            f"{n_sites}; use the records of one supernet"
        )
    counts = np.array([record.counts for record in records], float).reshape(-1, n_sites)  # (n, L)
    return counts, np.array([value(record, quantity) for record in records], float)  # (n,)
