"""Columns hold what records hold, and read no samples for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgewright.architecture import EncodedArchitecture
from edgewright.errors import InputError
from edgewright.profiling.campaign import run_campaign
from edgewright.profiling.columns import RecordColumns, joined
from edgewright.profiling.models import TemplateModels
from edgewright.profiling.plan import Campaign, PlanOptions, make_plan
from edgewright.profiling.store.store import Store
from edgewright.spaces.gates import SubnetSpace

Begin = Callable[..., Campaign]


@pytest.fixture
def campaign(store_path: Path, begin: Begin, space: SubnetSpace, models: TemplateModels, simulated: Any,
             options: PlanOptions) -> Campaign:  # fmt: skip
    """In which position 3 fails each time."""
    failing = make_plan(space, options).items[3].architecture.encoding

    def fault(n: int, encoding: bytes) -> dict[str, str] | None:
        return {"kind": "crash", "message": "SIGSEGV"} if encoding == failing else None

    with Store.open(store_path) as store:
        campaign = begin(store)
        run_campaign(simulated(fault), store, campaign, space, models)
    return campaign


def same(one: RecordColumns, other: RecordColumns) -> bool:
    pairs = [(getattr(one, each.name), getattr(other, each.name)) for each in fields(RecordColumns)]
    return all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f") if isinstance(a, np.ndarray) else a == b for a, b in pairs
    )


def test_a_store_gives_the_columns_of_its_records(store_path: Path, campaign: Campaign, space: SubnetSpace) -> None:
    with Store.open(store_path) as store:
        records, columns = store.records(campaign), store.columns(campaign)
    assert same(columns, RecordColumns.of(records)) and RecordColumns.of(columns) is columns
    assert columns.position.tolist() == [record.position for record in records]
    assert columns.failed.tolist() == [record.error is not None for record in records]
    assert columns.failed.sum() >= 1
    assert columns.of_kind("sentinel").tolist() == [record.kind == "sentinel" for record in records]
    assert columns.recorded.tolist() == [list(record.features) for record in records]
    assert [digest.decode() for digest in columns.digests[columns.architecture]] == [
        record.architecture.digest for record in records
    ]
    assert len(columns.features) == len({record.architecture for record in records}) < len(records)
    assert columns.devices == ("board",)
    columns.check_space(space)


def test_samples_stay_in_the_file(store_path: Path, campaign: Campaign) -> None:
    said: list[str] = []
    with Store.open(store_path) as store:
        connection: Any = store._connection.connection.dbapi_connection
        connection.set_trace_callback(said.append)
        store.columns(campaign)
        assert said and not any("samples_ms" in statement for statement in said)
        store.records(campaign)
        assert any("samples_ms" in statement for statement in said), "the trace sees what is read"


def test_campaigns_are_joined(store_path: Path, campaign: Campaign) -> None:
    with Store.open(store_path) as store:
        records = store.records(campaign)
    foreign = [replace(each, device="other", architecture=EncodedArchitecture("chain", "d", b"", (1.0, 2.0)))
               for each in records[:2]]  # fmt: skip
    both = joined([RecordColumns.of(records), RecordColumns.of(foreign)])
    assert len(both) == len(records) + 2 and both.devices == ("board", "other")
    assert both.on("other").tolist() == [False] * len(records) + [True] * 2
    assert both.recorded[-1].tolist() == [1.0, 2.0, 0.0]
    assert both.recorded[:-2].tolist() == [list(record.features) for record in records]
    assert [shape for shape in both.shapes] == [("gates", 3), ("chain", 2)]


def test_another_space_is_named(store_path: Path, campaign: Campaign, space: SubnetSpace) -> None:
    with Store.open(store_path) as store:
        records = store.records(campaign)
    foreign = replace(records[5], architecture=EncodedArchitecture("gates", "d", b"", (1.0, 2.0)))
    with pytest.raises(InputError, match="position 5 measured an architecture of the kind 'gates' with 2 features"):
        RecordColumns.of([*records[:5], foreign]).check_space(space)


def test_no_records_are_columns_too(store_path: Path, begin: Begin) -> None:
    with Store.open(store_path) as store:
        columns = store.columns(begin(store))
    assert len(columns) == 0 and columns.devices == () and not columns.usable.any()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("latency_ms = 0.0 WHERE latency_ms IS NOT NULL", "latency_ms > 0"),
        ("memory_mib = -1.0", "memory_mib > 0"),
        ("features = '[1, null, 2]'", "features must be finite"),
        ("features = '[1'", "Expecting"),
        ("kind = 'other'", "kind must be one of"),
    ],
)
def test_a_value_that_makes_no_record_is_named(store_path: Path, campaign: Campaign, change: str, said: str) -> None:
    meddler = sqlite3.connect(store_path)
    meddler.execute(f"UPDATE records SET {change}")
    meddler.commit()
    meddler.close()
    with Store.open(store_path) as store, pytest.raises(InputError, match=f"not a readable store .*{said}"):
        store.columns(campaign)
