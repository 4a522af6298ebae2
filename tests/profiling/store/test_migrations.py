"""Stores as versions 1 and 2 left them, written by the code of those versions, and what it read back from them.

Each holds a finished campaign, one of whose measurements failed, and an interrupted one; version 2 also corrections, a
disturbed measurement and a verification.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from edgewright.profiling.campaign import run_campaign
from edgewright.profiling.models import TemplateModels
from edgewright.profiling.plan import make_plan
from edgewright.profiling.records import Record
from edgewright.profiling.store.file import connect
from edgewright.profiling.store.migrations import bring_up
from edgewright.profiling.store.store import Store
from edgewright.spaces.gates import SubnetSpace

STORED = Path(__file__).parent / "stored"
OLD = (1, 2)


@pytest.fixture(params=OLD)
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def old(version: int, tmp_path: Path) -> Path:
    return Path(shutil.copy(STORED / f"version{version}.sqlite", tmp_path / "store.sqlite"))


def told(record: Record, store: Store) -> dict[str, Any]:
    """A record as the JSON beside the files has it."""
    measured, architecture = record.measurement, record.architecture
    assert architecture.kind == "gates"
    return {
        "position": record.position, "kind": record.kind, "digest": architecture.digest,
        "encoding": architecture.encoding.hex(), "features": list(architecture.features),
        "started_at": record.started_at, "latency_ms": record.latency_ms, "memory_mib": record.memory_mib,
        "samples_ms": None if measured.samples_ms is None else list(measured.samples_ms),
        "error": None if record.error is None else str(record.error), "attempts": record.attempts,
        "health": dict(measured.health), "size_bytes": measured.size_bytes, "steady": measured.steady,
        "marks": list(measured.marks), "settled": measured.settled, "facts": store.facts(record.facts_digest),
    }  # fmt: skip


def user_version(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return int(version)


def columns(path: Path) -> dict[str, dict[str, tuple[Any, ...]]]:
    """Of each table, what each column is: its type's affinity, whether it must be set, its place in the key."""
    affinities = {"INT": "integer", "CHAR": "text", "TEXT": "text", "BLOB": "blob", "REAL": "real", "BOOL": "integer"}
    connection, found = sqlite3.connect(path), {}
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        rows = connection.execute(f"PRAGMA table_info({table})").fetchall()
        found[table] = {
            name: (next(affinity for part, affinity in affinities.items() if part in kind), bool(must or key), key)
            for _, name, kind, must, _, key in rows
        }
    connection.close()
    return found


def test_all_that_was_measured_is_still_there(old: Path, version: int) -> None:
    expected = json.loads((STORED / f"version{version}.json").read_text())
    for _ in range(2):  # the second time there is nothing left to do
        with Store.open(old) as store:
            campaigns = store.campaigns()
            found = [
                {"id": each.id, "device": each.device, "plan_digest": each.plan_digest, "n_planned": each.n_planned,
                 "created_at": each.created_at, "records": [told(record, store) for record in store.records(each)]}
                for each in campaigns
            ]  # fmt: skip
        assert found == expected
        assert user_version(old) == 3


def test_a_verification_of_version_2_is_still_there(tmp_path: Path) -> None:
    path = Path(shutil.copy(STORED / "version2.sqlite", tmp_path / "store.sqlite"))
    with Store.open(path) as store:
        (kept,) = store.verifications("board")
        assert store.facts(kept.facts_digest)["model"] == "board of version 2"
    assert (kept.architecture.kind, kept.features, kept.task) == ("gates", (4, 6, 8), "only two, even")
    assert kept.samples_ms == ((1.5, 1.25), (1.75, 1.5, 1.625)) and kept.budget == {"latency_ms": 2.0}
    assert (kept.memory_mib, kept.upper_latency_ms, kept.upper_memory_mib, kept.fits) == (3.5, 1.9, None, True)


def test_its_tables_become_those_of_a_new_store(old: Path, tmp_path: Path) -> None:
    Store.open(old).close()
    Store.open(tmp_path / "new.sqlite").close()
    assert columns(old) == columns(tmp_path / "new.sqlite")


def test_an_interrupted_campaign_goes_on(
    old: Path, space: SubnetSpace, models: TemplateModels, simulated: Any, version: int
) -> None:
    """Its plan is drawn again, and is the one that the old version drew."""

    class SameBoard(simulated):  # type: ignore[misc]
        def facts(self) -> dict[str, Any]:
            model = f"board of version {version}"
            return {"machine": "simulated", "model": model, "cpus": 1, "runtime": "tflite"}

    session = SameBoard()
    with Store.open(old) as store:
        campaign = store.campaigns()[0]
        plan = make_plan(space, campaign.options)
        assert plan.digest == campaign.plan_digest
        before = store.records(campaign)
        summary = run_campaign(session, store, campaign, space, models)
        after = store.records(campaign)
    assert summary.n_measured == len(plan) - 5 and after[:5] == before
    assert [record.architecture.digest for record in after] == [item.architecture.digest for item in plan]
    assert session.jobs == [item.architecture.encoding for item in plan.items[5:]]


def test_a_failure_half_way_leaves_the_old_store(old: Path, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def half_way(connection: Any, version: int) -> None:
        bring_up(connection, version)
        raise KeyboardInterrupt

    before = columns(old)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("edgewright.profiling.store.file.bring_up", half_way)
        Store.open(old)
    assert user_version(old) == version and columns(old) == before
    with Store.open(old) as store:
        assert len(store.records(store.campaigns()[0])) == 5


def test_two_processes_bring_it_up_at_once(old: Path) -> None:
    code = (
        "import sys\n"
        "from edgewright.profiling.store.store import Store\n"
        "sys.stdin.readline()\n"
        "with Store.open(sys.argv[1]) as store:\n"
        "    print(len(store.records(store.campaigns()[0])))\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, old], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for each in both:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    assert [each.communicate()[0] for each in both] == ["5\n", "5\n"]


def test_an_old_store_that_is_being_written_is_waited_for(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgewright.errors import StorageError

    monkeypatch.setattr("edgewright.profiling.store.store._BUSY_TIMEOUT_S", 0.05)
    holder = connect(old, 1.0)
    holder.exec_driver_sql("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="locked; another process is writing"):
        Store.open(old)
    holder.exec_driver_sql("COMMIT")
    holder.close()
    holder.engine.dispose()
    Store.open(old).close()
