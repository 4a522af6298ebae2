"""Real SQLite files, broken in the ways files break."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from edgewright.architecture import EncodedArchitecture
from edgewright.errors import InputError, StorageError
from edgewright.profiling.campaign import run_campaign
from edgewright.profiling.models import TemplateModels
from edgewright.profiling.plan import Campaign, PlanOptions
from edgewright.profiling.records import Failure, Measurement, Record
from edgewright.profiling.store import file
from edgewright.profiling.store.store import Store
from edgewright.profiling.verifications import VerificationRecord
from edgewright.spaces.gates import SubnetSpace

from tests.profiling.conftest import PROTOCOL

ARCHITECTURE = EncodedArchitecture("gates", "abc", b"\x00\xff\x10", (1, 24, 3))

Begin = Callable[..., Campaign]


def some_record(store: Store, campaign: Campaign, position: int = 0, **changes: Any) -> Record:
    measurement = Measurement(
        samples_ms=(1.25, 0.1, 1.5),
        memory_mib=2.5,
        memory_method="mallinfo2",
        n_warmup=8,
        settled=False,
        load_ms=0.5,
        size_bytes=1234,
        child_ms=30.0,
        emit_ms=0.4,
        health={"before": {"temperature_c": 40.5}, "after": None},
    )
    record = Record(
        position=position,
        kind="repeat",
        architecture=ARCHITECTURE,
        device="board",
        protocol=campaign.protocol,
        facts_digest=store.add_facts({"machine": "x"}),
        started_at="2024-01-01T00:00:00.000+00:00",
        measurement=measurement,
        overhead_ms=7.5,
        attempts=2,
    )
    return replace(record, **changes)


def test_records_come_back_as_they_were_after_reopening(store_path: Path, begin: Begin) -> None:
    with Store.open(store_path) as store:
        campaign = begin(store)
        good = some_record(store, campaign)
        bad = some_record(store, campaign, 1, measurement=Measurement(error=Failure("timeout", "60 s")), kind="subnet")
        store.add_record(campaign, bad)
        store.add_record(campaign, good)
    with Store.open(store_path) as store:
        assert store.campaigns("board", campaign.source)[0] == campaign
        assert store.records(campaign) == [good, bad]
        assert store.records(campaign, kinds=["subnet"]) == [bad]
        assert store.positions(campaign) == {0, 1}
        assert store.facts(good.facts_digest) == {"machine": "x"}


def test_the_newest_campaign_is_found(store_path: Path, begin: Begin) -> None:
    with Store.open(store_path) as store:
        begin(store)
        second = begin(store, PlanOptions(12))
        assert store.campaigns("board", second.source)[0] == second
        assert store.campaigns("other", second.source) == []
        assert store.campaigns("board", "0" * 64) == []
        assert [campaign.id for campaign in store.campaigns("board")] == [2, 1]


def test_a_position_is_stored_once(store_path: Path, begin: Begin) -> None:
    with Store.open(store_path) as store:
        campaign = begin(store)
        record = some_record(store, campaign)
        store.add_record(campaign, record)
        with pytest.raises(InputError, match="refused position 0 of campaign 1 .* another process"):
            store.add_record(campaign, record)
        with pytest.raises(InputError, match="FOREIGN KEY"):
            store.add_record(campaign, replace(record, position=1, facts_digest="unknown"))
        with pytest.raises(InputError, match="does not belong"):
            store.add_record(campaign, replace(record, position=2, device="phone"))
        assert store.records(campaign) == [record]


def test_unknown_facts_are_refused(store_path: Path) -> None:
    with Store.open(store_path) as store, pytest.raises(InputError, match="no device facts 'nope'"):
        store.facts("nope")


def test_the_journal_is_a_write_ahead_log(store_path: Path) -> None:
    with Store.open(store_path):
        other = sqlite3.connect(store_path)
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        other.close()


def test_a_reader_sees_records_while_a_writer_is_at_work(store_path: Path, begin: Begin) -> None:
    with Store.open(store_path) as writer, Store.open(store_path) as reader:
        campaign = begin(writer)
        writer.add_record(campaign, some_record(writer, campaign))
        assert reader.positions(campaign) == {0}


def test_many_records_are_kept_together_or_not_at_all(store_path: Path, begin: Begin) -> None:
    with Store.open(store_path) as store:
        campaign = begin(store)
        several = [some_record(store, campaign, position) for position in range(4)]
        store.add_records(campaign, [])
        store.add_records(campaign, several[:2])
        with pytest.raises(InputError, match="refused positions 2 to 1 of campaign"):
            store.add_records(campaign, [several[2], several[1]])
        with pytest.raises(InputError, match="a record of device 'other' does not belong"):
            store.add_records(campaign, [several[3], replace(several[2], device="other")])
        assert store.records(campaign) == several[:2]


def test_text_is_not_a_store(store_path: Path) -> None:
    store_path.parent.mkdir()
    store_path.write_text("latency,memory\n" * 100)
    with pytest.raises(InputError, match=r"store\.sqlite is not a readable store .*move it away") as caught:
        Store.open(store_path)
    assert caught.value.exit_code == 2
    assert store_path.read_text().startswith("latency")


def test_another_programs_database_is_left_alone(store_path: Path) -> None:
    store_path.parent.mkdir()
    foreign = sqlite3.connect(store_path)
    foreign.execute("CREATE TABLE songs (title TEXT)")
    foreign.commit()
    foreign.close()
    before = store_path.read_bytes()
    with pytest.raises(InputError, match="database of another program, .* choose another workspace"):
        Store.open(store_path)
    assert store_path.read_bytes() == before


def test_a_newer_store_is_not_touched(store_path: Path) -> None:
    Store.open(store_path).close()
    newer = sqlite3.connect(store_path)
    newer.execute("PRAGMA user_version = 99")
    newer.commit()
    newer.close()
    with pytest.raises(InputError, match="version 99, this program reads versions up to 3; update edgewright"):
        Store.open(store_path)


@pytest.mark.parametrize("damage", ["truncated", "overwritten"])
def test_a_damaged_store_is_named(
    store_path: Path, begin: Begin, space: SubnetSpace, models: TemplateModels, simulated: Any, damage: str
) -> None:
    with Store.open(store_path) as store:
        run_campaign(simulated(), store, begin(store), space, models)
    content = store_path.read_bytes()
    assert len(content) > 12_000
    middle = b"\xaa" * 6000
    broken = content[:9000] if damage == "truncated" else content[:4500] + middle + content[10_500:]
    store_path.write_bytes(broken)
    with pytest.raises(InputError, match=r"store\.sqlite is not a readable store"):
        Store.open(store_path)


def test_damage_to_a_large_store_is_named_where_it_is_met(
    store_path: Path, begin: Begin, space: SubnetSpace, models: TemplateModels, simulated: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Reading a large file whole, to check it, would cost every command seconds."""
    with Store.open(store_path) as store:
        campaign = begin(store)
        for _ in range(3):
            run_campaign(simulated(), store, begin(store), space, models)
    content = store_path.read_bytes()
    store_path.write_bytes(content[:-4096] + b"\xaa" * 4096)
    with pytest.raises(InputError, match=r"store\.sqlite is not a readable store"):
        Store.open(store_path)
    monkeypatch.setattr(file, "_WHOLLY_CHECKED_BYTES", 0)
    with Store.open(store_path) as store:
        newest, *_ = store.campaigns()
        assert store.records(campaign) == []
        with pytest.raises(InputError, match=r"store\.sqlite is not a readable store"):
            store.records(newest)
    store_path.write_bytes(content[:4500] + b"\xaa" * 6000 + content[10_500:])
    with pytest.raises(InputError, match=r"store\.sqlite is not a readable store"):
        Store.open(store_path)


@pytest.mark.parametrize(
    ("change", "said", "look"),
    [
        ("samples_ms = '[0.0]'", "samples_ms must be finite", lambda record: record.measurement.samples_ms[0]),
        ("samples_ms = '[1.0'", "Expecting", lambda record: record.measurement.samples_ms[0]),
        ("health = '7'", "not iterable", lambda record: dict(record.measurement.health)),
        ("latency_ms = 0.0", "latency_ms > 0", lambda record: None),
        ("features = '[1, null]'", "must be real number", lambda record: None),
        ("marks = 'x'", "Expecting", lambda record: None),
        ("kind = 'other'", "kind must be one of", lambda record: None),
    ],
)
def test_a_value_that_makes_no_record_is_named(
    store_path: Path, begin: Begin, change: str, said: str, look: Callable[[Record], Any]
) -> None:
    """At once, or when what is rarely looked at is looked at."""
    with Store.open(store_path) as store:
        campaign = begin(store)
        store.add_record(campaign, some_record(store, campaign))
    meddler = sqlite3.connect(store_path)
    meddler.execute(f"UPDATE records SET {change}")
    meddler.commit()
    meddler.close()
    with Store.open(store_path) as store, pytest.raises(InputError, match=f"not a readable store .*{said}"):
        look(store.records(campaign)[0])


def test_a_full_disk_loses_nothing_that_was_stored(store_path: Path, begin: Begin) -> None:
    with Store.open(store_path) as store:
        campaign = begin(store)
        store.add_record(campaign, some_record(store, campaign))
        # SQLite's own limit: the same error, from the same place, as a disk without room.
        store._connection.exec_driver_sql("PRAGMA max_page_count = 1")
        big = some_record(store, campaign, 1, architecture=replace(ARCHITECTURE, encoding=bytes(2_000_000)))
        with pytest.raises(StorageError, match=r"cannot use the store .*full; free some space") as caught:
            store.add_record(campaign, big)
        assert caught.value.exit_code == 2
        store._connection.exec_driver_sql("PRAGMA max_page_count = 100000")
        store.add_record(campaign, big)
    with Store.open(store_path) as store:
        assert store.positions(campaign) == {0, 1}


def test_a_file_size_limit_of_the_system_is_a_sentence(store_path: Path) -> None:
    """The same from outside: the system itself refuses to let the file grow."""
    code = (
        "import resource, sys\n"
        "from edgewright.errors import StorageError\n"
        "from edgewright.profiling.store.store import Store\n"
        "store = Store.open(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))\n"
        "try:\n"
        "    store.add_facts({'blob': 'x' * 1_000_000})\n"
        "except StorageError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, store_path], capture_output=True, text=True, check=True)
    assert "cannot use the store" in done.stdout and "then start again with `resume`" in done.stdout
    with Store.open(store_path) as store:
        assert store.campaigns() == []


def test_a_folder_that_cannot_be_made_or_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write .*choose another folder"):
        Store.open(tmp_path / "file" / "store.sqlite")
    (tmp_path / "store.sqlite").mkdir()
    with pytest.raises(StorageError, match="cannot use the store .*choose another workspace"):
        Store.open(tmp_path / "store.sqlite")


def test_a_locked_store_says_so(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store.open(store_path).close()
    monkeypatch.setattr("edgewright.profiling.store.store._BUSY_TIMEOUT_S", 0.05)
    holder = sqlite3.connect(store_path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with Store.open(store_path) as store, pytest.raises(StorageError, match="locked; another process is writing"):
        store.add_facts({})
    holder.close()


def test_an_empty_file_becomes_a_store(store_path: Path) -> None:
    """What a process leaves that was killed while it made the store."""
    store_path.parent.mkdir()
    store_path.touch()
    with Store.open(store_path) as store:
        assert store.campaigns() == []
    assert stat.S_ISREG(store_path.stat().st_mode)


def test_profiling_loads_without_the_heavy_libraries() -> None:
    code = (
        "import sys, edgewright.profiling.campaign\n"
        "print([name for name in ('torch', 'sklearn', 'pandas', 'scipy') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("change", ["samples_ms = NULL, latency_ms = NULL", "error_kind = 'crash', error_message = ''"])
def test_the_tables_themselves_want_samples_or_an_error(store_path: Path, begin: Begin, change: str) -> None:
    with Store.open(store_path) as store:
        campaign = begin(store)
        store.add_record(campaign, some_record(store, campaign))
    meddler = sqlite3.connect(store_path)
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        meddler.execute(f"UPDATE records SET {change}")
    meddler.close()


def test_samples_are_read_when_they_are_looked_at(store_path: Path, begin: Begin) -> None:
    """The latency of a record, also of one that is scaled, needs none of them."""
    with Store.open(store_path) as store:
        campaign = begin(store)
        kept = some_record(store, campaign)
        store.add_record(campaign, kept)
        meddler = sqlite3.connect(store_path)
        meddler.execute("UPDATE records SET samples_ms = 'no samples'")
        meddler.commit()
        meddler.close()
        (record,) = store.records(campaign)
    assert record.latency_ms == kept.latency_ms and record.scaled(2.0).latency_ms == 2 * (kept.latency_ms or 0)
    with pytest.raises(InputError, match="not a readable store"):
        len(record.scaled(2.0).measurement.samples_ms or ())


def some_verification(store: Store, **changes: Any) -> VerificationRecord:
    record = VerificationRecord(
        device="board",
        source="t" * 64,
        facts_digest=store.add_facts({"machine": "x"}),
        started_at="2024-01-01T00:00:00.000+00:00",
        architecture=ARCHITECTURE,
        samples_ms=((1.0, 2.0, 3.0), (4.0,), (1.5,)),
        protocol=PROTOCOL,
        budget={"latency_ms": 2.5},
        task="has, 3",
        fits=True,
        predicted_latency_ms=1.9,
        upper_latency_ms=2.4,
    )
    return replace(record, **changes)


def test_verifications_come_back_in_the_order_of_time(store_path: Path) -> None:
    with Store.open(store_path) as store:
        late = some_verification(store, started_at="2024-01-02T00:00:00.000+00:00", fits=False)
        other = some_verification(store, device="phone")
        early = some_verification(store, memory_mib=3.5, memory_method="rss_anon")
        ids = [store.add_verification(record) for record in (late, other, early)]
        assert len(set(ids)) == 3 and early.latency_ms == 2.0
    with Store.open(store_path) as store:
        assert store.verifications("board") == [replace(early, id=ids[2]), replace(late, id=ids[0])]
        assert store.verifications("board", "u" * 64) == []
        with pytest.raises(InputError, match="keep its facts first"):
            store.add_verification(replace(early, facts_digest="unknown"))
