"""Records, campaigns and verifications as rows of the store's tables, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from sqlalchemy import Row, Text, type_coerce

from ...architecture import EncodedArchitecture
from ...errors import InputError
from ..columns import Origin, RecordColumns, from_rows
from ..plan import Campaign, PlanOptions
from ..records import Failure, Measurement, Record, check_positive
from ..samples import LazySamples, check_samples
from ..verifications import VerificationRecord
from .tables import RECORDS, dump

_MEASURED = (
    "memory_mib", "memory_method", "n_warmup", "settled", "load_ms", "size_bytes", "child_ms", "emit_ms", "steady",
)  # fmt: skip
_VERIFIED = (
    "device", "source", "facts_digest", "started_at", "protocol", "budget", "task", "fits", "memory_mib",
    "memory_method", "predicted_latency_ms", "upper_latency_ms", "predicted_memory_mib", "upper_memory_mib",
)  # fmt: skip

Corrupt = Callable[[str], InputError]
"""The error for a problem with what a file holds."""


class StoredHealth(Mapping[str, Any]):
    """What the device said of itself; parsed when it is first looked at, which few ever do."""

    def __init__(self, text: str, corrupt: Corrupt) -> None:
        self._text, self._corrupt = text, corrupt

    @cached_property
    def _values(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._text))
        except (ValueError, TypeError) as error:
            raise self._corrupt(str(error)) from error

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


def campaign_from_row(row: Row[Any]) -> Campaign:
    values = row._asdict()
    return Campaign(**{**values, "options": PlanOptions.from_json(values["options"])})


def record_to_row(campaign: Campaign, record: Record) -> dict[str, Any]:
    measured, error = record.measurement, record.error
    return {
        "campaign_id": campaign.id,
        "position": record.position,
        "kind": record.kind,
        **_architecture_to_row(record.architecture),
        "facts_digest": record.facts_digest,
        "started_at": record.started_at,
        "latency_ms": record.latency_ms,
        "samples_ms": None if measured.samples_ms is None else dump(list(measured.samples_ms)),
        **{name: getattr(measured, name) for name in _MEASURED},
        "overhead_ms": record.overhead_ms,
        "health": dump(dict(measured.health)),
        "error_kind": None if error is None else error.kind,
        "error_message": None if error is None else error.message,
        "attempts": record.attempts,
        "schema": record.schema,
        "marks": measured.marks,
    }


def record_from_row(row: Row[Any], campaign: Campaign, corrupt: Corrupt) -> Record:
    check_positive("latency_ms", row.latency_ms)
    measurement = Measurement(
        samples_ms=None if row.samples_ms is None else LazySamples(partial(_samples, row.samples_ms, corrupt)),
        **{name: getattr(row, name) for name in _MEASURED},
        marks=tuple(row.marks),
        health=StoredHealth(row.health, corrupt),
        error=None if row.error_kind is None else Failure(row.error_kind, row.error_message),
    ).with_median(row.latency_ms)
    return Record(
        position=row.position,
        kind=row.kind,
        architecture=_architecture_from_row(row),
        device=campaign.device,
        protocol=campaign.protocol,
        facts_digest=row.facts_digest,
        started_at=row.started_at,
        measurement=measurement,
        overhead_ms=row.overhead_ms,
        attempts=row.attempts,
        schema=row.schema,
    )


COLUMNS = (
    RECORDS.c.position, RECORDS.c.kind, RECORDS.c.architecture_kind, RECORDS.c.architecture_digest,
    type_coerce(RECORDS.c.features, Text), RECORDS.c.started_at, RECORDS.c.latency_ms, RECORDS.c.memory_mib,
    RECORDS.c.steady,
)  # fmt: skip
"""The fields of a `columns.Row`."""


def columns_from_rows(rows: Iterable[Row[Any]], campaign: Campaign) -> RecordColumns:
    """Of rows of `COLUMNS`."""

    def read(features: list[Any]) -> list[Sequence[float]]:
        listed: list[Sequence[float]] = json.loads(f"[{','.join(features)}]")
        return listed

    return from_rows(Origin(campaign.device, campaign.protocol), rows, read)


def _samples(text: str, corrupt: Corrupt) -> tuple[float, ...]:
    try:
        samples = tuple(json.loads(text))
        check_samples(samples)
    except (ValueError, TypeError) as error:
        raise corrupt(str(error)) from error
    return samples


def verification_to_row(record: VerificationRecord) -> dict[str, Any]:
    return {
        **{name: getattr(record, name) for name in _VERIFIED},
        **_architecture_to_row(record.architecture),
        "budget": dict(record.budget),
        "latency_ms": record.latency_ms,
        "samples_ms": [list(samples) for samples in record.samples_ms],
    }


def verification_from_row(row: Row[Any]) -> VerificationRecord:
    return VerificationRecord(
        **{name: getattr(row, name) for name in _VERIFIED},
        architecture=_architecture_from_row(row),
        samples_ms=tuple(tuple(samples) for samples in row.samples_ms),
        id=row.id,
    )


def _architecture_to_row(architecture: EncodedArchitecture) -> dict[str, Any]:
    return {
        "architecture_kind": architecture.kind,
        "architecture_digest": architecture.digest,
        "encoding": architecture.encoding,
        "features": architecture.features,
    }


def _architecture_from_row(row: Row[Any]) -> EncodedArchitecture:
    return EncodedArchitecture(row.architecture_kind, row.architecture_digest, row.encoding, tuple(row.features))
