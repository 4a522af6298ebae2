"""From a campaign's records to fitted predictors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from ..errors import InputError
from ..gates import GateSpace, Layer
from ..profiling.records import Record
from ..profiling.verifications import VerificationRecord
from .drift.correction import drift_of, teaching
from .features import FeatureSet, FloatArray
from .linear import CostPredictor, LatencyPredictor, MemoryPredictor

_Predictor = TypeVar("_Predictor", bound=CostPredictor)
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
    records: Iterable[Record],
    space: GateSpace,
    layers: Sequence[Layer],
    features: FeatureSet | None = None,
    drift: bool = True,
    verifications: Sequence[VerificationRecord] = (),
) -> CostPredictors:
    """Fit latency and memory on all records but failures and sentinels.

    Without `features`, each quantity gets the set that predicts left-out subnets best. With `drift`, what the device's
    changes of speed did to latencies is taken out first. Each model verified on the device is a row more.

    Raises:
        InputError: too few records, or records of another gate space.
    """
    records = list(records)
    latency_table = table(usable(records), "latency", space)  # checks that they are of this supernet
    if drift:
        latency_table = table(usable(teaching(records, drift_of(records, space, layers))), "latency", space)
    rows = usable(records)
    offered = get_args(FeatureSet) if features is None else (features,)
    seen = [(record.counts, record.latency_ms) for record in verifications]
    latency = _best([LatencyPredictor(space, layers, each) for each in offered], *_joined(latency_table, seen))
    memory_table = table([record for record in rows if record.memory_mib is not None], "memory", space)
    if not len(memory_table[1]):
        return CostPredictors(latency, None)
    weighed = [(record.counts, record.memory_mib) for record in verifications if record.memory_mib is not None]
    memory = _best([MemoryPredictor(space, layers, each) for each in offered], *_joined(memory_table, weighed))
    return CostPredictors(latency, memory)


def _joined(
    measured: tuple[FloatArray, FloatArray], verified: Sequence[tuple[tuple[int, ...], float]]
) -> tuple[FloatArray, FloatArray]:
    counts, costs = measured
    if not verified:
        return measured
    more = np.array([row for row, _ in verified], float)  # (v, L)
    return np.concatenate([counts, more]), np.concatenate([costs, [cost for _, cost in verified]])


def _best(offered: Sequence[_Predictor], counts: FloatArray, costs: FloatArray) -> _Predictor:
    """The one with the smallest errors on subnets that its fit had not seen; the first of those that hardly differ."""
    fitted = [each.fit(counts, costs) for each in offered]
    errors = [float(np.abs(each.errors_).mean()) for each in fitted]
    return next(each for each, error in zip(fitted, errors, strict=True) if error <= 1.01 * min(errors) + 1e-6)


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
