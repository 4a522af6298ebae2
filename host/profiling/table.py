"""All measurements as one table: a row each, with what was measured, how, and on what."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Any

from edgewright.device_agent.timing import percentile

from ..architecture import Architecture
from ..spaces.base import SearchSpace
from .columns import RecordColumns
from .plan import Campaign
from .records import Record
from .store.store import Store

if TYPE_CHECKING:
    import pandas as pd

Corrected = Callable[[Campaign, RecordColumns], Mapping[int, float]]
"""Latencies without drift, ms, by the position in a campaign; none for positions that have none."""

FEATURES = "features"
_BATCH = 4096  # records that are objects, with their samples, at the same time


@dataclass(frozen=True)
class _Row:
    campaign: Campaign
    record: Record
    facts: Mapping[str, Any]
    corrected_ms: float | None


def _mad_ms(row: _Row) -> float | None:
    samples, centre = row.record.measurement.samples_ms, row.record.latency_ms
    return None if samples is None or centre is None else median(abs(sample - centre) for sample in samples)


def _p90_ms(row: _Row) -> float | None:
    samples = row.record.measurement.samples_ms
    return None if samples is None else percentile(samples, 0.9)


def _fact(name: str) -> Callable[[_Row], Any]:
    return lambda row: row.facts.get(name)


_COLUMNS: dict[str, tuple[str, Callable[[_Row], Any]]] = {
    "campaign": ("int64", lambda row: row.campaign.id),
    "device": ("string", lambda row: row.campaign.device),
    "position": ("int64", lambda row: row.record.position),
    "kind": ("string", lambda row: row.record.kind),
    "architecture_kind": ("string", lambda row: row.record.architecture.kind),
    "architecture": ("string", lambda row: row.record.architecture.digest),
    "encoding": ("string", lambda row: row.record.architecture.encoding.hex()),
    "space": ("string", lambda row: row.campaign.space_digest),
    "source": ("string", lambda row: row.campaign.source),
    "started_at": ("datetime64[ms, UTC]", lambda row: row.record.started_at),
    "latency_ms": ("float64", lambda row: row.record.latency_ms),
    "corrected_ms": ("float64", lambda row: row.corrected_ms),
    "mad_ms": ("float64", _mad_ms),
    "p90_ms": ("float64", _p90_ms),
    "n_samples": ("Int64", lambda row: len(row.record.measurement.samples_ms or ())),
    "memory_mib": ("float64", lambda row: row.record.memory_mib),
    "memory_method": ("string", lambda row: row.record.measurement.memory_method),
    "size_bytes": ("Int64", lambda row: row.record.measurement.size_bytes),
    "load_ms": ("float64", lambda row: row.record.measurement.load_ms),
    "overhead_ms": ("float64", lambda row: row.record.overhead_ms),
    "attempts": ("int64", lambda row: row.record.attempts),
    "settled": ("boolean", lambda row: row.record.measurement.settled),
    "steady": ("boolean", lambda row: row.record.measurement.steady),
    "marks": ("string", lambda row: ", ".join(row.record.measurement.marks) or None),
    "error": ("string", lambda row: None if row.record.error is None else str(row.record.error)),
    "threads": ("int64", lambda row: row.campaign.protocol.threads),
    "protocol": ("string", lambda row: json.dumps(row.campaign.protocol.to_json(), sort_keys=True)),
    **{
        name: ("string", _fact(name))
        for name in (
            "device_id", "model", "soc", "cpu_model", "machine", "os", "runtime", "runtime_version", "delegate",
        )
    },  # fmt: skip
}


def _uncorrected(campaign: Campaign, columns: RecordColumns) -> Mapping[int, float]:
    return {}


def records_table(
    store: Store,
    device: str | None = None,
    source: str | None = None,
    spaces: Iterable[SearchSpace[Architecture]] = (),
    corrected: Corrected = _uncorrected,
) -> pd.DataFrame:
    """One row per measurement, failed ones included, by campaign and position.

    Args:
        device: only campaigns on it.
        source: only campaigns of models made from it, such as a template's sha256.
        spaces: search spaces whose features become columns, named as the space names them; the features of all others
            are JSON in the column `features`.
        corrected: gives the column `corrected_ms`, which takes a predictor.

    Latencies are medians; `mad_ms` and `p90_ms` are of the same samples. What is not known is missing, never 0.
    """
    import pandas as pd

    rows = _rows(store, store.campaigns(device, source)[::-1], corrected)
    by_digest = {space.digest: space for space in spaces}
    frames = [_frame([], by_digest)]
    while batch := list(islice(rows, _BATCH)):
        frames.append(_frame(batch, by_digest))
    return frames[0] if len(frames) == 1 else pd.concat(frames[1:], ignore_index=True)


def _frame(rows: Sequence[_Row], spaces: Mapping[str, SearchSpace[Architecture]]) -> pd.DataFrame:
    import pandas as pd

    table = pd.DataFrame({name: [read(row) for row in rows] for name, (_, read) in _COLUMNS.items()})
    table["started_at"] = pd.to_datetime(table["started_at"], utc=True, format="ISO8601")
    table = table.astype({name: kind for name, (kind, _) in _COLUMNS.items()})
    return pd.concat([table, _features(rows, spaces)], axis=1)


def _rows(store: Store, campaigns: Iterable[Campaign], corrected: Corrected) -> Iterator[_Row]:
    facts: dict[str, Mapping[str, Any]] = {}
    for campaign in campaigns:
        corrected_ms = corrected(campaign, store.columns(campaign))
        for record in store.each_record(campaign):
            digest = record.facts_digest
            facts[digest] = facts.get(digest) or store.facts(digest)
            yield _Row(campaign, record, facts[digest], corrected_ms.get(record.position))


def _features(rows: Sequence[_Row], spaces: Mapping[str, SearchSpace[Architecture]]) -> pd.DataFrame:
    """Features by name where the space is known, else as JSON; columns that no row has are left out."""
    import pandas as pd

    cells: list[dict[str, Any]] = []
    for row in rows:
        space = spaces.get(row.campaign.space_digest)
        if space is None:
            cells.append({FEATURES: json.dumps(row.record.features)})
        else:
            cells.append(dict(zip(space.feature_names, row.record.features, strict=True)))
    return pd.DataFrame(cells, index=range(len(rows)))
