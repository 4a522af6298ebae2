"""One campaign over several identical devices: which devices are identical, and how their records become one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import InputError
from .columns import RecordColumns, joined
from .plan import Campaign
from .records import Record
from .store.store import Store

_SAME = ("model", "soc", "machine", "cpu_model", "cores", "max_freq_khz", "runtime", "runtime_version")
_MEASURER = ("runtime", "runtime_version", "delegate")


def check_names(devices: Sequence[str], spread: bool) -> None:
    """Raises `InputError` for a device named twice, and for a campaign spread over one."""
    twice = sorted({name for name in devices if devices.count(name) > 1})
    if twice:
        raise InputError(f"{', '.join(map(repr, twice))} is named twice; name each device once")
    if spread and len(devices) < 2:
        named = ", ".join(map(repr, devices))
        raise InputError(f"a campaign needs at least two identical devices to `spread` over, got {named}")


def check_identical(facts: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises `InputError` naming the first difference that would make latencies of two devices incomparable."""
    (first, reference), *others = facts.items()
    for name, other in others:
        for fact in _SAME:
            if other.get(fact) != reference.get(fact):
                raise InputError(
                    f"{first!r} and {name!r} are not identical: {fact} is {reference.get(fact)!r} and "
                    f"{other.get(fact)!r}; profile them without `spread`, each with a campaign of its own"
                )


def fleet_records(store: Store, campaign: Campaign) -> list[Record]:
    """The records of a campaign; of one spread over devices, those of all of them, as `campaign.device` shows them.

    Another device's latencies are scaled by what the sentinel takes on both: identical devices differ by a few percent.
    The store keeps what was measured.
    """
    own = store.records(campaign)
    parts = list(_parts(store, campaign))
    scale = _scale(store.columns(campaign)) if parts else None
    for part in parts:
        factor = scale(store.columns(part)) if scale is not None else None
        if factor is not None:
            own = own + [record.scaled(factor) for record in store.records(part)]
    return own


def fleet_columns(store: Store, campaign: Campaign) -> RecordColumns:
    """As `fleet_records`, without samples."""
    own = store.columns(campaign)
    parts = [own]
    scale = _scale(own)
    for columns in map(store.columns, _parts(store, campaign)):
        factor = scale(columns)
        if factor is not None:
            parts.append(columns.with_latencies(columns.latency_ms * factor))
    return joined(parts)


def _parts(store: Store, campaign: Campaign) -> Iterator[Campaign]:
    """The part of each other device of the fleet: its newest campaign that is a part of the same whole."""
    measurer = _measurer(store, campaign)
    if measurer is None:
        return
    for share, name in enumerate(campaign.options.fleet):
        if name == campaign.device:
            continue
        wanted = replace(campaign.options, share=share)
        same = (known for known in store.campaigns(name, campaign.source) if known.options == wanted)
        alike = (known for known in same if known.protocol == campaign.protocol)
        found = next((known for known in alike if _measurer(store, known) == measurer), None)
        if found is not None:
            yield found


def _measurer(store: Store, campaign: Campaign) -> tuple[Any, ...] | None:
    """The same throughout a campaign: another runtime or delegate ranks architectures in another order. None for a
    campaign without records."""
    facts = store.measuring_facts(campaign)
    return None if facts is None else tuple(facts.get(name) for name in _MEASURER)


def _scale(own: RecordColumns) -> Callable[[RecordColumns], float | None]:
    """Gives what the sentinel takes on a device over what it takes on another; None where either has not seen it."""
    here = _sentinel_ms(own)

    def over(other: RecordColumns) -> float | None:
        there = _sentinel_ms(other)
        return None if here is None or there is None else here / there

    return over


def _sentinel_ms(columns: RecordColumns) -> float | None:
    latencies = columns.latency_ms[columns.of_kind("sentinel") & ~columns.failed]
    return float(np.median(latencies)) if len(latencies) else None
