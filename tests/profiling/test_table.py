"""All measurements as one table, whatever was measured."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from edgewright.profiling.campaign import run_campaign
from edgewright.profiling.models import TemplateModels
from edgewright.profiling.plan import Campaign, PlanOptions, make_plan
from edgewright.profiling.store.store import Store
from edgewright.profiling.table import records_table
from edgewright.spaces.gates import SubnetSpace

STORED = Path(__file__).parent / "store" / "stored"


@pytest.fixture
def store(store_path: Path, begin: Callable[..., Campaign], space: SubnetSpace, models: TemplateModels,
          simulated: Any, options: PlanOptions) -> Any:  # fmt: skip
    """A campaign in which position 3 fails each time."""
    failing = make_plan(space, options).items[3].architecture.encoding

    def fault(n: int, encoding: bytes) -> dict[str, str] | None:
        return {"kind": "crash", "message": "SIGSEGV"} if encoding == failing else None

    with Store.open(store_path) as store:
        run_campaign(simulated(fault), store, begin(store), space, models)
        yield store


def test_a_row_per_measurement(store: Store, space: SubnetSpace, options: PlanOptions) -> None:
    table = records_table(store, "board", spaces=[space])
    plan = make_plan(space, options)
    assert table["position"].tolist() == list(range(len(plan)))
    assert table["kind"].tolist() == [item.kind for item in plan]
    assert table["architecture"].tolist() == [item.architecture.digest for item in plan]
    assert [space.decode(bytes.fromhex(each)) for each in table["encoding"]] == [i.architecture for i in plan]
    assert table[list(space.feature_names)].to_numpy().tolist() == [list(i.architecture.features) for i in plan]
    assert set(table["architecture_kind"]) == {"gates"} and set(table["machine"]) == {"simulated"}
    assert "features" not in table


def test_costs_and_failures(store: Store, space: SubnetSpace) -> None:
    table = records_table(store, spaces=[space])
    failed = table[table["error"].notna()]
    assert set(failed["error"]) == {"crash: SIGSEGV"} and 3 in set(failed["position"])
    assert failed[["latency_ms", "mad_ms", "p90_ms", "memory_mib"]].isna().all(axis=None)
    good = table[table["error"].isna()]
    n_open = good[list(space.feature_names)].sum(axis=1)
    assert (good["latency_ms"] == n_open + 1).all() and (good["memory_mib"] == n_open / 4).all()
    assert np.allclose(good["mad_ms"], 1) and np.allclose(good["p90_ms"], n_open + 1.8)
    assert set(good["n_samples"]) == {3} and set(good["size_bytes"]) == {1000}
    assert good["corrected_ms"].isna().all() and good["steady"].isna().all()


def test_corrections_stand_beside_what_was_measured(store: Store) -> None:
    table = records_table(store, corrected=lambda campaign, columns: {int(columns.position[0]): 7.5})
    assert table["corrected_ms"].dropna().to_dict() == {0: 7.5}
    assert table["latency_ms"].notna().sum() > 30


def test_features_of_an_unknown_space_are_json(store: Store, space: SubnetSpace) -> None:
    table = records_table(store)
    assert not set(space.feature_names) & set(table.columns)
    assert all(len(json.loads(each)) == len(space.feature_names) for each in table["features"])


def test_devices_and_sources_are_chosen(store: Store, models: TemplateModels) -> None:
    assert len(records_table(store, "board", models.digest)) == len(records_table(store)) > 0
    for nothing in (records_table(store, "phone"), records_table(store, source="0" * 64)):
        assert len(nothing) == 0 and {"latency_ms", "architecture", "started_at"} <= set(nothing.columns)


@pytest.mark.parametrize("version", [1, 2])
def test_old_stores_are_told_too(tmp_path: Path, version: int) -> None:
    path = Path(shutil.copy(STORED / f"version{version}.sqlite", tmp_path / "store.sqlite"))
    with Store.open(path) as store:
        table = records_table(store)
    assert table.groupby("campaign").size().to_dict() == {1: 16, 2: 5}
    assert table["started_at"].dt.year.eq(2023).all() and (table["marks"] == "throttled").sum() == (version == 2)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_it_survives_a_file(store: Store, space: SubnetSpace, tmp_path: Path, suffix: str) -> None:
    table, path = records_table(store, spaces=[space]), tmp_path / f"records.{suffix}"
    if suffix == "csv":
        table.to_csv(path, index=False)
        again = pd.read_csv(path)
    else:
        table.to_parquet(path, index=False)
        again = pd.read_parquet(path)
        pd.testing.assert_frame_equal(again, table)
    assert again.columns.tolist() == table.columns.tolist()
    assert again["latency_ms"].tolist() == pytest.approx(table["latency_ms"].tolist(), nan_ok=True)
