"""How a campaign's device changed its speed while it ran, and latencies without that.

A record's latency is what its architecture takes, times how slow the device was at that moment. The first comes from a
predictor, the second from all records and sentinels in order of time; the two are fitted in turn. Latencies are brought
to the fastest level that lasted: the undisturbed device.

Shapes: `n` records in order of time, `L` recorded features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from ...architecture import Architecture
from ...profiling.columns import BoolArray, IntArray, RecordColumns, Recorded
from ...profiling.records import Record
from ...spaces.base import FeatureSpace
from ...spaces.features import FloatArray
from ..folds import sample
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


@dataclass(frozen=True, eq=False)
class DriftCorrection:
    """The drift of one device during a campaign.

    `stretches` count records in order of time; their levels are relative to the undisturbed one. `outliers`: share of
    records off by more than 10 % even after correction. The rest is of each record in order of time, `(n,)`: its row in
    the columns that were corrected, its key, raw latency over corrected latency, log of raw latency over what the
    architecture takes on the undisturbed device, and whether its stretch is more than 5 % off. `n` is 0 where there are
    too few of the `n_records` to tell.
    """

    stretches: tuple[Stretch, ...]
    outliers: float
    n_records: int
    device: str
    rows: IntArray
    positions: IntArray
    factor: FloatArray
    residual: FloatArray
    is_disturbed: BoolArray

    @cached_property
    def keys(self) -> tuple[RecordKey, ...]:
        return tuple((self.device, position) for position in self.positions.tolist())

    @cached_property
    def factors(self) -> Mapping[RecordKey, float]:
        return dict(zip(self.keys, self.factor.tolist(), strict=True))

    @cached_property
    def residuals(self) -> Mapping[RecordKey, float]:
        return dict(zip(self.keys, self.residual.tolist(), strict=True))

    @cached_property
    def disturbed(self) -> frozenset[RecordKey]:
        return frozenset(key for key, disturbed in zip(self.keys, self.is_disturbed, strict=True) if disturbed)

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


def correct(records: Recorded, space: FeatureSpace[Architecture]) -> DriftCorrection:
    """The drift of one campaign on one device. Too few records (below 40) are left as they are."""
    columns = RecordColumns.of(records)
    columns.check_space(space)
    return _correct(columns, np.arange(len(columns)), space)


def _correct(columns: RecordColumns, rows: IntArray, space: FeatureSpace[Architecture]) -> DriftCorrection:
    """Of those `rows`, which are one device's."""
    rows = rows[~columns.failed[rows]]
    rows = rows[np.lexsort((columns.position[rows], columns.started_at[rows]))]
    device = columns.origins[columns.origin[rows[0]]].device if len(rows) else ""
    part = columns.take(rows)
    sentinels = part.of_kind("sentinel")
    if (~sentinels).sum() < MIN_RECORDS:
        nothing = np.empty(0)
        return DriftCorrection(
            (), 0.0, len(rows), device, rows[:0], part.position[:0], nothing, nothing, sentinels[:0]
        )  # fmt: skip
    recorded, times = part.recorded, np.arange(len(rows), dtype=float)  # (n, L), (n,)
    drift = np.zeros(len(rows))  # (n,), log
    for _ in range(_ROUNDS):
        residuals = _residuals(space, recorded, part.latency_ms, drift, sentinels)
        curve = DriftCurve(times, residuals, choose_neighbours(times, residuals, _NEIGHBOURS))
        drift = curve(times)
    base = _reference(curve.stretches)
    stretches = tuple(replace(each, level=each.level / base) for each in curve.stretches)
    return DriftCorrection(
        stretches=stretches,
        outliers=float((np.abs(residuals - drift) > np.log1p(_OUTLIER)).mean()),
        n_records=len(rows),
        device=device,
        rows=rows,
        positions=part.position,
        factor=np.exp(drift) / base,
        residual=residuals - np.log(base),
        is_disturbed=np.repeat([abs(each.level - 1) > _CHANGED for each in stretches], list(map(len, stretches))),
    )


def drift_of(records: Recorded, space: FeatureSpace[Architecture]) -> dict[str, DriftCorrection]:
    """The drift of each device of a campaign, by its name.

    Raises `InputError` for records of another space.
    """
    columns = RecordColumns.of(records)
    columns.check_space(space)
    return {device: _correct(columns, np.flatnonzero(columns.on(device)), space) for device in columns.devices}


def undisturbed(columns: RecordColumns, drift: Mapping[str, DriftCorrection]) -> RecordColumns:
    """What a predictor of the undisturbed device learns from: those of the records that `drift` was found in, without
    it.

    No disturbance slows all architectures by exactly the same factor, so corrected records are less accurate than
    undisturbed ones: where there are at least 40 of these, the others are left out.
    """
    factors, calm = np.ones(len(columns)), np.ones(len(columns), bool)
    for each in drift.values():
        factors[each.rows] = each.factor
        calm[each.rows] = ~each.is_disturbed
    corrected = columns.with_latencies(columns.latency_ms / factors)
    return corrected.take(calm) if (columns.usable & calm).sum() >= MIN_RECORDS else corrected


def without_drift(records: Sequence[Record], drift: Mapping[str, DriftCorrection]) -> list[Record]:
    """The records with corrected latencies; what is stored stays raw."""
    factors = {key: factor for each in drift.values() for key, factor in each.factors.items()}
    return [record.scaled(1 / factors.get(_key(record), 1.0)) for record in records]


def corrected_ms(records: Recorded, space: FeatureSpace[Architecture]) -> dict[int, float]:
    """One campaign's latencies without drift, by position; none of a campaign that is too short to tell."""
    columns = RecordColumns.of(records)
    found = correct(columns, space)
    corrected = columns.latency_ms[found.rows] / found.factor  # (n,)
    return dict(zip(found.positions.tolist(), corrected.tolist(), strict=True))


def _residuals(
    space: FeatureSpace[Architecture],
    features: FloatArray,
    latencies: FloatArray,
    drift: FloatArray,
    sentinels: BoolArray,
) -> FloatArray:
    """Log of measured over predicted `(n,)`. The sentinel's own misprediction, always the same, is taken out."""
    level = latencies / np.exp(drift)
    taught = np.flatnonzero(~sentinels)
    taught = taught[sample(len(taught))]
    predictor = LinearPredictor(space, "latency", space.feature_sets[-1]).fit(features[taught], level[taught])
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
