"""Measurements leave the store as a table: one row each."""

import sys

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def stored(profiled):
    """How many measurements the workspace holds."""
    from edgewright.workbench.workbench import Workbench

    with Workbench(profiled) as bench:
        return sum(len(bench.store.records(campaign)) for campaign in bench.store.campaigns("local"))


@pytest.mark.parametrize(("suffix", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet)])
def test_every_measurement_is_a_row(edgewright, profiled, stored, tmp_path, suffix, read):
    out = tmp_path / f"records.{suffix}"
    answer = edgewright("records", "export", "local", "--out", out, "--workspace", profiled, "--json")
    assert answer.exit_code == 0 and answer.json["rows"] == stored > 30
    table = read(out)
    assert len(table) == stored and table.columns.tolist() == answer.json["columns"]
    assert (table["latency_ms"] > 0).all() and set(table["kind"]) == {"subnet", "repeat", "sentinel"}
    assert "features" not in table.columns, "the sites of shipped supernets are columns by their names"
    n = len(answer.json["campaigns"])
    of = "1 campaign" if n == 1 else f"{n} campaigns"
    assert table.columns[-1].startswith("layer") and f"{stored} measurements of {of}, 0 of them failed" in answer.err


def test_what_there_is_nothing_of(edgewright, profiled, tmp_path):
    answer = edgewright("records", "export", "phone", "--out", tmp_path / "r.csv", "--workspace", profiled)
    assert answer.exit_code == 2 and "has no records of 'phone'; run `edgewright profile phone` first" in answer.err
    assert not (tmp_path / "r.csv").exists()


def test_a_file_of_another_kind(edgewright, profiled, tmp_path):
    answer = edgewright("records", "export", "local", "--out", tmp_path / "r.xlsx", "--workspace", profiled)
    assert answer.exit_code == 2 and "--out must end in .csv or .parquet" in answer.err


def test_parquet_without_its_library(edgewright, profiled, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    answer = edgewright("records", "export", "local", "--out", tmp_path / "r.parquet", "--workspace", profiled)
    assert answer.exit_code == 2 and f"edgewright[parquet]', or use --out {tmp_path / 'r.csv'}" in answer.err
