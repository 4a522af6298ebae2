"""Campaigns against faults: kills, Ctrl-C, devices that fail. The device is simulated only to fail on command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from edgewright.errors import DeviceError, InputError, MeasurementError
from edgewright.gates import GateSpace, Site
from edgewright.profiling.campaign import run_campaign
from edgewright.profiling.models import TemplateModels
from edgewright.profiling.plan import Campaign, PlanOptions, make_plan
from edgewright.profiling.progress import CampaignInterrupted, Progress
from edgewright.profiling.store.store import Store
from edgewright.spaces.gates import SubnetSpace

Begin = Callable[..., Campaign]

# A campaign that reports each stored record, at 20 ms a measurement.
SLOW_CAMPAIGN = """
import sys, time
sys.path.insert(0, sys.argv[2])
import conftest
from edgewright.profiling.campaign import run_campaign
from edgewright.profiling.store.store import Store

with Store.open(sys.argv[1]) as store:
    campaign = store.campaigns()[0] if store.campaigns() else conftest.new_campaign(store)
    session = conftest.SimulatedSession(lambda n, gates: time.sleep(0.02))
    run_campaign(session, store, campaign, conftest.SPACE, conftest.MODELS,
                 on_progress=lambda progress: print(progress.done, flush=True))
"""


def start_slow(store_path: Path) -> subprocess.Popen[str]:
    argv = [sys.executable, "-B", "-c", SLOW_CAMPAIGN, str(store_path), str(Path(__file__).parent)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def read_until(process: subprocess.Popen[str], done: int) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= done:
            return
    raise AssertionError(process.stderr.read() if process.stderr else "ended early")


def failing(positions: set[int], times: int, plan: Any) -> Callable[[int, bytes], dict[str, str] | None]:
    """A fault of these positions' subnets, the first `times` tries each."""
    packed = {item.architecture.encoding for item in plan if item.position in positions}
    tries: Counter[bytes] = Counter()

    def fault(n: int, gates: bytes) -> dict[str, str] | None:
        tries[gates] += 1
        return {"kind": "crash", "message": "SIGSEGV"} if gates in packed and tries[gates] <= times else None

    return fault


def test_every_position_is_measured_in_order(
    store_path: Path, begin: Begin, space: SubnetSpace, models: TemplateModels, options: PlanOptions, simulated: Any
) -> None:
    seen: list[Progress] = []
    with Store.open(store_path) as store:
        campaign = begin(store)
        session = simulated()
        summary = run_campaign(session, store, campaign, space, models, seen.append)
        records = store.records(campaign)
    plan = make_plan(space, options)
    assert session.jobs == [item.architecture.encoding for item in plan]
    assert [(r.position, r.kind, r.architecture.digest, r.features) for r in records] == [
        (item.position, item.kind, item.architecture.digest, item.architecture.counts) for item in plan
    ]
    assert all(record.latency_ms == sum(record.features) + 1 for record in records)
    assert all(record.memory_mib == sum(record.features) / 4 for record in records)
    assert all(record.overhead_ms is not None and record.overhead_ms > 0 for record in records)
    assert records[0].measurement.health == {"before": {"load": 0.5}, "after": {"load": 0.6}}
    assert (summary.total, summary.n_measured, summary.n_failed) == (len(plan), len(plan), 0)
    assert summary.overhead_ms is not None and summary.overhead_ms > 0
    assert [progress.done for progress in seen] == list(range(1, len(plan) + 1))
    assert seen[-1].eta_s == 0 and seen[3].eta_s > 0 and seen[3].rate_per_s > 0
    assert seen[3].last == records[3] and seen[3].total == len(plan)


@pytest.mark.parametrize("done", [1, 9])
def test_killed_in_the_middle_and_resumed(
    store_path: Path, space: SubnetSpace, models: TemplateModels, options: PlanOptions, simulated: Any, done: int
) -> None:
    """SIGKILL; nothing that was reported is lost, nothing is measured twice."""
    process = start_slow(store_path)
    read_until(process, done)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    plan = make_plan(space, options)
    with Store.open(store_path) as store:
        campaign = store.campaigns()[0]
        before = store.records(campaign)
        assert done <= len(before) < len(plan)
        session = simulated()
        summary = run_campaign(session, store, campaign, space, models)
        after = store.records(campaign)
    assert after[: len(before)] == before
    assert [record.position for record in after] == list(range(len(plan)))
    assert len(session.jobs) == summary.n_measured == len(plan) - len(before)


def test_killed_while_the_store_is_made(tmp_path: Path) -> None:
    """Killed a little later each time, from before the file exists until after the first records."""
    for attempt in range(4):
        path = tmp_path / f"{attempt}.sqlite"
        process = start_slow(path)
        deadline = time.monotonic() + 30
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(attempt * 0.003)
        process.kill()
        process.communicate()
        with Store.open(path) as store:
            assert len(store.campaigns()) <= 1


def test_ctrl_c_keeps_the_records_and_says_how_to_go_on(store_path: Path) -> None:
    process = start_slow(store_path)
    read_until(process, 5)
    os.kill(process.pid, signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode != 0
    assert "CampaignInterrupted: stopped; " in stderr and "start again with `resume` to go on" in stderr
    with Store.open(store_path) as store:
        n_stored = len(store.records(store.campaigns()[0]))
    assert n_stored >= 5 and f"{n_stored} of " in stderr


def test_ctrl_c_is_still_a_keyboard_interrupt(
    store_path: Path, begin: Begin, space: SubnetSpace, models: TemplateModels, simulated: Any
) -> None:
    def interrupt(n: int, gates: bytes) -> None:
        if n == 4:
            raise KeyboardInterrupt

    with Store.open(store_path) as store:
        campaign = begin(store)
        with pytest.raises(CampaignInterrupted, match="4 of 46 records are stored") as caught:
            run_campaign(simulated(interrupt), store, campaign, space, models)
        assert isinstance(caught.value, KeyboardInterrupt)
        assert store.positions(campaign) == {0, 1, 2, 3}


def test_a_lost_device_keeps_the_records(
    store_path: Path, begin: Begin, space: SubnetSpace, models: TemplateModels, simulated: Any
) -> None:
    def unplug(n: int, gates: bytes) -> None:
        if n == 7:
            raise DeviceError("device 'board' fell silent")

    with Store.open(store_path) as store:
        campaign = begin(store)
        with pytest.raises(DeviceError, match="fell silent; 7 of 46 records are stored; start again with `resume`"):
            run_campaign(simulated(unplug), store, campaign, space, models)
        summary = run_campaign(simulated(), store, campaign, space, models)
        assert summary.n_measured == 39 and len(store.positions(campaign)) == 46


def test_a_failure_is_tried_again_at_the_end(
    store_path: Path, begin: Begin, space: SubnetSpace, models: TemplateModels, options: PlanOptions, simulated: Any
) -> None:
    plan = make_plan(space, options)
    once = next(item for item in plan if item.kind == "subnet")
    with Store.open(store_path) as store:
        campaign = begin(store)
        session = simulated(failing({once.position}, 1, plan))
        summary = run_campaign(session, store, campaign, space, models)
        record = store.records(campaign)[once.position]
    assert session.jobs[-1] == once.architecture.encoding
    assert record.error is None and record.attempts == 2
    assert summary.n_failed == 0


def test_what_keeps_failing_becomes_an_error_record(
    store_path: Path, begin: Begin, space: SubnetSpace, models: TemplateModels, options: PlanOptions, simulated: Any
) -> None:
    plan = make_plan(space, options)
    repeated = {item.architecture for item in plan if item.kind == "repeat"}
    alone = next(item for item in plan if item.kind == "subnet" and item.architecture not in repeated)
    with Store.open(store_path) as store:
        campaign = begin(store)
        session = simulated(failing({alone.position}, 99, plan))
        summary = run_campaign(session, store, campaign, space, models, max_attempts=3)
        record = store.records(campaign)[alone.position]
        assert str(record.error) == "crash: SIGSEGV" and record.attempts == 3
        assert record.latency_ms is None and record.memory_mib is None
        assert session.jobs.count(alone.architecture.encoding) == 3
        assert summary.n_failed == 1 and store.positions(campaign) == set(range(len(plan)))
        assert run_campaign(simulated(), store, campaign, space, models).n_measured == 0


def test_a_device_on_which_everything_fails_is_given_up(
    store_path: Path, begin: Begin, space: SubnetSpace, models: TemplateModels, simulated: Any
) -> None:
    session = simulated(lambda n, gates: {"kind": "load_failed", "message": "no runtime"})
    with Store.open(store_path) as store:
        campaign = begin(store)
        with pytest.raises(MeasurementError, match="10 measurements in a row failed on 'board'.*load_failed"):
            run_campaign(session, store, campaign, space, models)
        assert len(session.jobs) == 10
        assert store.records(campaign) == []


def test_only_the_same_supernet_template_and_plan_go_on(
    store_path: Path, begin: Begin, space: SubnetSpace, models: TemplateModels, simulated: Any
) -> None:
    other_space = SubnetSpace(GateSpace((Site("stem", 16), Site("body", 25), Site("head", 32, block=2))))
    with Store.open(store_path) as store:
        campaign = begin(store)
        with pytest.raises(InputError, match="belongs to the space of gates"):
            run_campaign(simulated(), store, campaign, other_space, models)
        with pytest.raises(InputError, match="measured models made from .* start a new campaign"):
            run_campaign(simulated(), store, campaign, space, TemplateModels(b"another template"))
        with pytest.raises(InputError, match="planned by another version"):
            run_campaign(simulated(), store, replace(campaign, plan_digest="0" * 16), space, models)
        assert store.records(campaign) == []
