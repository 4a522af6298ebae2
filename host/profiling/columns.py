"""The measurements of many records as columns: all that predictors learn from, without samples and without an object
each.

Shapes: `n` records, `k` different architectures, `L` recorded features.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple, get_args

import numpy as np
from edgewright.device_agent.timing import TimingProtocol
from numpy.typing import NDArray

from ..architecture import Architecture
from ..errors import InputError
from ..spaces.base import SearchSpace
from ..spaces.features import FloatArray
from .records import Kind, Record

IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

_KINDS: tuple[Kind, ...] = get_args(Kind)
_NUMBERS: Mapping[str, int] = {kind: number for number, kind in enumerate(_KINDS)}
_CHUNK = 16384  # rows that are Python objects at the same time


class Origin(NamedTuple):
    """What a campaign's records share."""

    device: str
    protocol: TimingProtocol


class Row(NamedTuple):
    """One record before it is a part of columns; `features` as they are kept, whatever reads them."""

    position: int
    kind: str
    architecture_kind: str
    digest: str
    features: Hashable
    started_at: str
    latency_ms: float | None
    memory_mib: float | None
    steady: bool | None


@dataclass(frozen=True, eq=False)
class RecordColumns:
    """Records in their order, `(n,)` each; what is not known is NaN, and a failure has no latency.

    `origin` counts `origins`, `kind` the kinds of a record, `architecture` the different architectures. Those are
    told by their `digests` `(k,)`; `shape` `(k,)` counts `shapes`, their kind and number of features; `features`
    `(k, L)` end in 0 where a row has fewer than others.
    """

    origins: tuple[Origin, ...]
    origin: IntArray
    position: IntArray
    kind: IntArray
    started_at: NDArray[np.bytes_]
    architecture: IntArray
    latency_ms: FloatArray
    memory_mib: FloatArray
    unsteady: BoolArray
    digests: NDArray[np.bytes_]
    shapes: tuple[tuple[str, int], ...]
    shape: IntArray
    features: FloatArray

    @classmethod
    def of(cls, records: Recorded) -> RecordColumns:
        """Of records, whatever they come as."""
        if isinstance(records, RecordColumns):
            return records
        records = list(records)
        origins: dict[Origin, int] = {}
        origin = [origins.setdefault(Origin(each.device, each.protocol), len(origins)) for each in records]
        columns = from_rows(Origin("", TimingProtocol()), map(_row, records), list)
        return replace(columns, origins=tuple(origins), origin=np.array(origin, np.intp))

    def __len__(self) -> int:
        return len(self.position)

    @property
    def failed(self) -> BoolArray:
        """`(n,)`"""
        return np.isnan(self.latency_ms)

    def of_kind(self, kind: Kind) -> BoolArray:
        """`(n,)`: which records are."""
        return self.kind == _KINDS.index(kind)

    @property
    def usable(self) -> BoolArray:
        """`(n,)`: what predictors learn from, first and second measurements. One sentinel many times would outweigh
        the rest."""
        return ~self.failed & ~self.of_kind("sentinel")

    @property
    def devices(self) -> tuple[str, ...]:
        """Without those of which no record is left, in the order of their first record."""
        return tuple(dict.fromkeys(self.origins[number].device for number in _in_order(self.origin)))

    def on(self, device: str) -> BoolArray:
        """`(n,)`: which records were measured on a device."""
        return np.array([origin.device == device for origin in self.origins], bool)[self.origin]

    @property
    def recorded(self) -> FloatArray:
        """The features of each record, `(n, L)`."""
        return self.features[self.architecture]

    def take(self, rows: IntArray | BoolArray) -> RecordColumns:
        names = ("origin", "position", "kind", "started_at", "architecture", "latency_ms", "memory_mib", "unsteady")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def with_latencies(self, latency_ms: FloatArray) -> RecordColumns:
        return replace(self, latency_ms=latency_ms)

    def check_space(self, space: SearchSpace[Architecture]) -> None:
        """Raises `InputError` where a record measured an architecture of another space."""
        own = (space.kind, len(space.feature_names))
        foreign = np.array([shape != own for shape in self.shapes], bool)[self.shape][self.architecture]  # (n,)
        if foreign.any():
            row = int(np.argmax(foreign))
            kind, n_features = self.shapes[self.shape[self.architecture[row]]]
            raise InputError(
                f"position {self.position[row]} measured an architecture of the kind {kind!r} with {n_features} "
                f"features, this space is of the kind {space.kind!r} with {own[1]}; use the records of one space"
            )


Recorded = RecordColumns | Iterable[Record]
"""Records as columns or one by one."""


def joined(parts: Sequence[RecordColumns]) -> RecordColumns:
    """The records of several campaigns, one after the other; at least one."""
    first, *others = parts
    for other in others:
        first = _joined(first, other)
    return first


def from_rows(
    origin: Origin, rows: Iterable[Sequence[Any]], read: Callable[[list[Any]], list[Sequence[float]]]
) -> RecordColumns:
    """Columns of the rows of one campaign, each with the fields of a `Row`.

    `read` gives the features of many architectures at once, of each architecture once. Raises `InputError` for costs
    that are not > 0, features that are not finite, and an unknown kind of record.
    """
    known: dict[tuple[str, str, Hashable], int] = {}
    chunks = [_chunk(chunk, known) for chunk in _chunked(rows)] or [_chunk([], known)]
    position, kind, architecture, started_at, latency_ms, memory_mib, unsteady = (
        np.concatenate(column) for column in zip(*chunks, strict=True)
    )
    shapes: dict[tuple[str, int], int] = {}
    listed = read([features for _, _, features in known])
    shape = [shapes.setdefault((k, len(own)), len(shapes)) for (k, _, _), own in zip(known, listed, strict=True)]
    for name, values in (("latency_ms", latency_ms), ("memory_mib", memory_mib)):
        _check_costs(name, values)
    return RecordColumns(
        origins=(origin,),
        origin=np.zeros(len(position), np.intp),
        position=position,
        kind=kind,
        started_at=started_at,
        architecture=architecture,
        latency_ms=latency_ms,
        memory_mib=memory_mib,
        unsteady=unsteady,
        digests=np.array([digest.encode() for _, digest, _ in known], bytes),
        shapes=tuple(shapes),
        shape=np.array(shape, np.intp),
        features=_padded(listed, max((n for _, n in shapes), default=0)),
    )


def _row(record: Record) -> Row:
    each = record.architecture
    return Row(
        record.position, record.kind, each.kind, each.digest, each.features, record.started_at, record.latency_ms,
        record.memory_mib, record.measurement.steady,
    )  # fmt: skip


def _chunked(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def _chunk(rows: list[Sequence[Any]], known: dict[tuple[str, str, Hashable], int]) -> tuple[NDArray[Any], ...]:
    """Position, kind, architecture, time, latency, memory and unsteadiness of some rows; architectures are added to
    those `known`."""
    position, kinds, names, digests, features, started_at, latency_ms, memory_mib, steady = (
        zip(*rows, strict=True) if rows else [()] * len(Row._fields)
    )
    architectures = [known.setdefault(key, len(known)) for key in zip(names, digests, features, strict=True)]
    return (
        np.array(position, np.intp),
        np.array([_kind_number(kind) for kind in kinds], np.intp),
        np.array(architectures, np.intp),
        np.array([time.encode() for time in started_at], bytes),
        np.array(latency_ms, float),  # None becomes NaN
        np.array(memory_mib, float),
        np.array([value is not None and not value for value in steady], bool),
    )


def _kind_number(kind: str) -> int:
    if kind not in _NUMBERS:
        raise InputError(f"a record's kind must be one of {', '.join(_KINDS)}, got {kind!r}")
    return _NUMBERS[kind]


def _padded(listed: Sequence[Sequence[float]], width: int) -> FloatArray:
    """`(k, L)`. Raises `InputError` for features that are not finite numbers."""
    if any(len(own) != width for own in listed):
        listed = [[*own, *[0.0] * (width - len(own))] for own in listed]
    features = np.array(listed, float).reshape(len(listed), width)
    if not np.isfinite(features).all():
        row = int(np.argmin(np.isfinite(features).all(axis=1)))
        raise InputError(f"an architecture's features must be finite numbers, got {tuple(features[row].tolist())}")
    return features


def _check_costs(name: str, values: FloatArray) -> None:
    wrong = values[~((values > 0) & (values < np.inf)) & ~np.isnan(values)]
    if wrong.size:
        raise InputError(f"`{name} > 0` must hold, but got {name}={wrong[0]}; what is not known is None")


def _joined(one: RecordColumns, other: RecordColumns) -> RecordColumns:
    """Architectures that both have stay apart: their digests say that they are the same."""
    def both(name: str, shift: int = 0) -> NDArray[Any]:
        return np.concatenate([getattr(one, name), getattr(other, name) + shift if shift else getattr(other, name)])

    width = max(one.features.shape[1], other.features.shape[1])
    features = [np.pad(each.features, ((0, 0), (0, width - each.features.shape[1]))) for each in (one, other)]
    return RecordColumns(
        origins=one.origins + other.origins,
        origin=both("origin", len(one.origins)),
        position=both("position"),
        kind=both("kind"),
        started_at=both("started_at"),
        architecture=both("architecture", len(one.digests)),
        latency_ms=both("latency_ms"),
        memory_mib=both("memory_mib"),
        unsteady=both("unsteady"),
        digests=both("digests"),
        shapes=one.shapes + other.shapes,
        shape=both("shape", len(one.shapes)),
        features=np.concatenate(features),
    )


def _in_order(numbers: IntArray) -> list[int]:
    """The different numbers, in the order they first appear."""
    values, first = np.unique(numbers, return_index=True)
    return [int(value) for value in values[np.argsort(first)]]
