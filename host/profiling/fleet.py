"""One campaign over several identical devices: who is identical, and how their records become one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from ..errors import InputError
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
    tables = [_scaled(records, own) for records in _parts(store, campaign, own)]
    return own + [record for table in tables for record in table]


def _parts(store: Store, campaign: Campaign, own: Sequence[Record]) -> Iterator[list[Record]]:
    """The records of each other device of the fleet: of its newest campaign that is a part of the same whole."""
    if not own:
        return
    measurer = _measurer(store, own)
    for share, name in enumerate(campaign.options.fleet):
        if name == campaign.device:
            continue
        wanted = replace(campaign.options, share=share)
        same = [known for known in store.campaigns(name, campaign.source) if known.options == wanted]
        tables = (store.records(known) for known in same if known.protocol == campaign.protocol)
        alike = next((records for records in tables if records and _measurer(store, records) == measurer), None)
        if alike is not None:
            yield alike


def _measurer(store: Store, records: Sequence[Record]) -> tuple[Any, ...]:
    """The same throughout a campaign: another runtime or delegate ranks architectures in another order."""
    facts = store.facts(records[0].facts_digest)
    return tuple(facts.get(name) for name in _MEASURER)


def _scaled(records: Sequence[Record], own: Sequence[Record]) -> list[Record]:
    here, there = _sentinel_ms(own), _sentinel_ms(records)
    if here is None or there is None:  # without a sentinel there is no scale
        return []
    return [record.scaled(here / there) for record in records]


def _sentinel_ms(records: Sequence[Record]) -> float | None:
    latencies = [r.latency_ms for r in records if r.kind == "sentinel" and r.latency_ms is not None]
    return median(latencies) if latencies else None
