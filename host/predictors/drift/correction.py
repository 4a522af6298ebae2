"""How a campaign's device changed its speed while it ran, and latencies without that.

A record's latency is what its architecture takes, times how slow the device was at that moment. The first comes from a
predictor, the second from all records and sentinels in order of time; the two are fitted in turn. Latencies are brought
to the fastest level that lasted: the undisturbed device.

Shapes: `n` records in order of time, `L` recorded features.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from ...architecture import Architecture
from ...profiling.records import Record
from ...spaces.base import FeatureSpace
from ...spaces.features import FloatArray
from ..linear import LinearPredictor
from .levels import LEVELS, DriftCurve, Stretch, choose_neighbours

MIN_RECORDS = 40

Disturbance = Literal["cold start", "level change", "busy"]
"""cold start: the first records differ; level change: the speed changed for good; busy: records scatter."""

RecordKey = tuple[str, int]
"""Device and position."""

_NEIGHBOURS = [0, LEVELS, 32, 64]
_ROUNDS = 3
_LASTING = 0.2  # of all records: a level that holds less is an episode
_CHANGED = 0.05
_OUTLIER = 0.1  # off by so much, whatever the subnet
_BUSY = 0.1  # of all records


@dataclass(frozen=True)
class DriftCorrection:
    """The drift of one device during a campaign; records are named by device and position.

    `factors`: raw latency over corrected latency. `residuals`: log of raw latency over what the architecture takes on
    the undisturbed device. `stretches` count records in order of time; their levels are relative to the undisturbed
    one, and `disturbed` are the records of those more than 5 % off. `outliers`: share of records off by more than 10 %
    even after correction.
    """

    factors: Mapping[RecordKey, float]
    stretches: tuple[Stretch, ...]
    outliers: float
    n_records: int
    disturbed: frozenset[RecordKey] = frozenset()
    residuals: Mapping[RecordKey, float] = field(default_factory=dict)

    @property
    def disturbances(self) -> tuple[Disturbance, ...]:
        disturbances: list[Disturbance] = []
        changed = [part for part in self.stretches if abs(part.level - 1) > _CHANGED]
        if any(part.start == 0 and len(part) < _LASTING * self.n_records for part in changed):
            disturbances.append("cold start")
        if any(len(part) >= _LASTING * self.n_records for part in changed):
            disturbances.append("level change")
        if self.outliers > _BUSY:
            disturbances.append("busy")
        return tuple(disturbances)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What disturbed the campaign, one sentence each; none for a clean one."""
        said = [
            f"records {part.start} to {part.stop - 1} took {part.level:.2f} times as long as the fastest lasting ones; "
            "that factor is taken out"
            for part in self.stretches
            if abs(part.level - 1) > _CHANGED
        ]
        if "busy" in self.disturbances:
            said.append(
                f"{self.outliers:.0%} of the records are off by more than {_OUTLIER:.0%}: the device was busy with "
                "something else; end it and profile again for a closer fit"
            )
        return tuple(said)


def correct(records: Iterable[Record], space: FeatureSpace[Architecture]) -> DriftCorrection:
    """The drift of one campaign. Too few records (below 40) are left as they are."""
    rows = sorted((r for r in records if r.error is None), key=lambda record: (record.started_at, record.position))
    if len([row for row in rows if row.kind != "sentinel"]) < MIN_RECORDS:
        return DriftCorrection({}, (), 0.0, len(rows))
    latencies = np.array([row.latency_ms for row in rows], float)  # (n,)
    features = np.array([row.features for row in rows], float)  # (n, L)
    sentinels = np.array([row.kind == "sentinel" for row in rows])
    times = np.arange(len(rows), dtype=float)
    drift = np.zeros(len(rows))  # (n,), log
    for _ in range(_ROUNDS):
        residuals = _residuals(space, features, latencies, drift, sentinels)
        curve = DriftCurve(times, residuals, choose_neighbours(times, residuals, _NEIGHBOURS))
        drift = curve(times)
    base = _reference(curve.stretches)
    factors = np.exp(drift) / base
    keys = [_key(row) for row in rows]
    return DriftCorrection(
        factors=dict(zip(keys, factors.tolist(), strict=True)),
        stretches=tuple(replace(part, level=part.level / base) for part in curve.stretches),
        outliers=float((np.abs(residuals - drift) > np.log1p(_OUTLIER)).mean()),
        n_records=len(rows),
        disturbed=frozenset(
            key
            for part in curve.stretches
            if abs(part.level / base - 1) > _CHANGED
            for key in keys[part.start : part.stop]
        ),
        residuals=dict(zip(keys, (residuals - np.log(base)).tolist(), strict=True)),
    )


def drift_of(records: Sequence[Record], space: FeatureSpace[Architecture]) -> dict[str, DriftCorrection]:
    """The drift of each device of a campaign, by its name."""
    by_device: dict[str, list[Record]] = {}
    for record in records:
        by_device.setdefault(record.device, []).append(record)
    return {device: correct(part, space) for device, part in by_device.items()}


def without_drift(records: Sequence[Record], drift: Mapping[str, DriftCorrection]) -> list[Record]:
    """The records with corrected latencies; what is stored stays raw."""
    factors = {key: factor for each in drift.values() for key, factor in each.factors.items()}
    return [record.scaled(1 / factors.get(_key(record), 1.0)) for record in records]


def corrected_ms(records: Sequence[Record], space: FeatureSpace[Architecture]) -> dict[int, float]:
    """One campaign's latencies without drift, by position; none of a campaign that is too short to tell."""
    factors = correct(records, space).factors
    known = ((record.position, record.latency_ms, factors.get(_key(record))) for record in records)
    return {position: ms / factor for position, ms, factor in known if ms is not None and factor is not None}


def teaching(records: Sequence[Record], drift: Mapping[str, DriftCorrection]) -> list[Record]:
    """What a predictor of the undisturbed device learns from, without drift.

    No disturbance slows all architectures by exactly the same factor, so corrected records are less accurate than
    undisturbed ones: where there are at least 40 of these, the others are left out.
    """
    disturbed = frozenset().union(*(each.disturbed for each in drift.values()))
    calm = [record for record in records if _key(record) not in disturbed]
    enough = sum(record.kind != "sentinel" and record.error is None for record in calm) >= MIN_RECORDS
    return without_drift(calm if enough else records, drift)


def _residuals(
    space: FeatureSpace[Architecture],
    features: FloatArray,
    latencies: FloatArray,
    drift: FloatArray,
    sentinels: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> FloatArray:
    """Log of measured over predicted `(n,)`. The sentinel's own misprediction, always the same, is taken out."""
    level = latencies / np.exp(drift)
    predictor = LinearPredictor(space, "latency", space.feature_sets[-1]).fit(features[~sentinels], level[~sentinels])
    residuals: FloatArray = np.log(latencies / predictor.predict(features))
    if sentinels.any():
        residuals[sentinels] -= np.median(residuals[sentinels] - drift[sentinels])
    return residuals


def _reference(stretches: Sequence[Stretch]) -> float:
    """The fastest level that lasted, if it differs clearly; else the usual one, which is better known."""
    total = sum(map(len, stretches))
    usual = float(np.median(np.repeat([part.level for part in stretches], [len(part) for part in stretches])))
    lasting = [part.level for part in stretches if len(part) >= _LASTING * total]
    fastest = min(lasting, default=usual)
    return fastest if usual > (1 + _CHANGED) * fastest else usual


def _key(record: Record) -> RecordKey:
    return record.device, record.position
