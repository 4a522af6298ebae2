"""A device that comes and goes in mid-campaign, and one that is disturbed: what it measured then is stored at once,
measured again after a pause, and the steadiest kept.

It is simulated, because it has to be lost and disturbed at chosen subnets.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgewright.devices.session.jobs import CampaignReply
from edgewright.errors import DeviceError, DeviceRefused, InputError, MeasurementError
from edgewright.profiling import run as run_module
from edgewright.profiling.campaign import run_campaign
from edgewright.profiling.models import TemplateModels
from edgewright.profiling.plan import Campaign, PlanOptions, make_plan
from edgewright.profiling.progress import CampaignInterrupted
from edgewright.profiling.store.store import Store
from edgewright.spaces.gates import SubnetSpace

Begin = Callable[..., Campaign]
LATE_MS, CALM_MS = 77.0, 5.0


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "_FIRST_PAUSE_S", 0.001)


def lost_at(*counts: int) -> Callable[[int, bytes], None]:
    def fault(n: int, gates: bytes) -> None:
        if n in counts:
            raise DeviceError("device 'board' fell silent")

    return fault


def test_it_goes_on_after_each_loss(
    store_path: Path, begin: Begin, space: SubnetSpace, models: TemplateModels, options: PlanOptions, simulated: Any
) -> None:
    said: list[str] = []
    session = simulated(lost_at(5, 17, 30))
    with Store.open(store_path) as store:
        campaign = begin(store)
        run_campaign(session, store, campaign, space, models, patience_s=5, on_status=said.append)
        assert store.positions(campaign) == set(range(len(make_plan(space, options))))
    assert session.reopened == 3 and len(said) == 3
    assert said[0] == "device 'board' fell silent; trying to reach it again for 5 s"
    assert session.spool == {}, "the device was told to forget what is stored"


def test_a_subnet_that_loses_the_device_each_time_becomes_an_error(
    store_path: Path, begin: Begin, space: SubnetSpace, models: TemplateModels, options: PlanOptions, simulated: Any
) -> None:
    """A phone that reboots under one model does not hold up the others, nor the campaign for ever."""
    plan = make_plan(space, options)
    repeated = {item.architecture for item in plan if item.kind == "repeat"}
    deadly = next(item for item in plan if item.kind == "subnet" and item.architecture not in repeated)

    def reboot(n: int, gates: bytes) -> None:
        if gates == deadly.architecture.encoding:
            raise DeviceError("device 'board' fell silent")

    session = simulated(reboot)
    with Store.open(store_path) as store:
        campaign = begin(store)
        summary = run_campaign(session, store, campaign, space, models, patience_s=5)
        record = store.records(campaign)[deadly.position]
        assert record.error is not None and record.error.kind == "device_lost"
        assert "fell silent" in record.error.message
        assert summary.n_failed == 1 and len(store.positions(campaign)) == len(plan)
    assert session.jobs.count(deadly.architecture.encoding) == 4, "twice at first, once in each further try"


def test_a_device_that_stays_away_is_given_up(
    store_path: Path, begin: Begin, space: SubnetSpace, models: TemplateModels, simulated: Any
) -> None:
    session = simulated(lost_at(7))

    def away() -> None:
        session.reopened += 1
        raise DeviceError("no route to host")

    session.reopen = away
    with Store.open(store_path) as store:
        campaign = begin(store)
        with pytest.raises(DeviceError, match="did not come back within 0.2 s: no route.*; 7 of 46 records are stored"):
            run_campaign(session, store, campaign, space, models, patience_s=0.2)
    assert session.reopened > 1


def test_stop_ends_it_while_it_waits_for_the_device(
    store_path: Path, begin: Begin, space: SubnetSpace, models: TemplateModels, simulated: Any
) -> None:
    stop = threading.Event()
    session = simulated(lost_at(7))

    def away() -> None:
        stop.set()
        raise DeviceError("no route to host")

    session.reopen = away
    with Store.open(store_path) as store, pytest.raises(CampaignInterrupted, match="7 of 46"):
        run_campaign(session, store, begin(store), space, models, patience_s=1000, stop=stop)


def test_what_the_device_still_holds_is_not_measured_again(
    store_path: Path, begin: Begin, space: SubnetSpace, models: TemplateModels, simulated: Any
) -> None:
    """The device measured five more than arrived; a resumed campaign fetches those."""
    session = simulated()
    with Store.open(store_path) as store:
        campaign = begin(store)
        replies = session.measure_each("", "", _jobs(campaign, space)[:5], campaign.protocol, ())
        spooled = list(replies)
        session.jobs.clear()
        summary = run_campaign(session, store, campaign, space, models)
        assert len(session.jobs) == 41 and summary.n_measured == 46
        records = store.records(campaign)
    assert [record.overhead_ms is None for record in records[:6]] == [True] * 5 + [False]
    assert records[0].started_at.startswith("2023-11-14") and len(spooled) == 5


def test_a_failure_in_the_spool_is_tried_again(
    store_path: Path, begin: Begin, space: SubnetSpace, models: TemplateModels, simulated: Any
) -> None:
    session = simulated(lambda n, gates: {"kind": "crash", "message": "SIGSEGV"} if n == 0 else None)
    with Store.open(store_path) as store:
        campaign = begin(store)
        list(session.measure_each("", "", _jobs(campaign, space)[:1], campaign.protocol, ()))
        run_campaign(session, store, campaign, space, models)
        assert store.records(campaign)[0].error is None


def test_a_device_lost_at_every_subnet_is_given_up(
    store_path: Path, begin: Begin, space: SubnetSpace, models: TemplateModels, simulated: Any
) -> None:
    def always(n: int, gates: bytes) -> None:
        raise DeviceError("device 'board' fell silent")

    said = "10 measurements in a row.*device_lost"
    with Store.open(store_path) as store, pytest.raises(MeasurementError, match=said):
        run_campaign(simulated(always), store, begin(store), space, models, patience_s=5)


def test_a_refusal_ends_it_at_once(
    store_path: Path, begin: Begin, space: SubnetSpace, models: TemplateModels, simulated: Any
) -> None:
    """The device is there and says no: to reach it again would bring the same."""

    def no_runtime(n: int, gates: bytes) -> None:
        if n == 3:
            raise DeviceRefused("device 'board' refused measure_each (no_runtime): torch cannot be imported")

    session = simulated(no_runtime)
    with Store.open(store_path) as store, pytest.raises(DeviceError, match="no_runtime.*; 3 of 46 records are stored"):
        run_campaign(session, store, begin(store), space, models, patience_s=1000)
    assert session.reopened == 0


@pytest.mark.parametrize("name", ["device_id", "runtime", "runtime_version", "delegate", "measuring"])
def test_one_campaign_has_one_measurer(
    store_path: Path, begin: Begin, space: SubnetSpace, models: TemplateModels, simulated: Any, name: str
) -> None:
    """Another phone under the same name, another runtime, the GPU: their latencies are no one table."""
    session = simulated(lost_at(7))
    with Store.open(store_path) as store:
        campaign = begin(store)
        with pytest.raises(DeviceError):
            run_campaign(session, store, campaign, space, models)
        other = simulated()
        other.facts = lambda: {"machine": "simulated", "cpus": 1, name: "another"}
        with pytest.raises(InputError, match=rf"was measured with {name} None, now it is 'another'; start a new one"):
            run_campaign(other, store, campaign, space, models)
        assert other.jobs == []
        run_campaign(simulated(), store, campaign, space, models)


def test_rubbish_in_the_spool_is_dropped_and_measured_again(
    store_path: Path, begin: Begin, space: SubnetSpace, models: TemplateModels, simulated: Any
) -> None:
    session = simulated()
    session.spool[0, 1] = CampaignReply(0, 1, 1.7e9, {"samples_ms": [-1.0], "size_bytes": 5})
    with Store.open(store_path) as store:
        campaign = begin(store)
        run_campaign(session, store, campaign, space, models)
        assert store.records(campaign)[0].error is None and len(session.jobs) == 46


def test_reconnecting_does_not_falsify_the_rate(
    store_path: Path, begin: Begin, space: SubnetSpace, models: TemplateModels, simulated: Any
) -> None:
    def slow_then_lost(n: int, gates: bytes) -> None:
        time.sleep(0.005)
        lost_at(30)(n, gates)

    with Store.open(store_path) as store:
        campaign = begin(store)
        summary = run_campaign(simulated(slow_then_lost), store, campaign, space, models, patience_s=5)
    assert summary.wall_s > 0.005 * 46, "the whole run counts, not what followed the last loss"


def _jobs(campaign: Campaign, space: SubnetSpace) -> list[Any]:
    from edgewright.devices.session.jobs import CampaignJob

    return [CampaignJob(item.position, 1, item.architecture.encoding) for item in make_plan(space, campaign.options)]


def disturbed_session(simulated: Any, positions: set[int], plan: Any, times: int = 1) -> Any:
    """Answers that the subnets of these positions were disturbed, the first `times` tries each."""
    packed = {item.architecture.encoding for item in plan if item.position in positions}
    tries: Counter[bytes] = Counter()

    class Disturbed(simulated):  # type: ignore[misc]
        def _measure(self, gates: bytes) -> dict[str, Any]:
            reply = super()._measure(gates)
            tries[gates] += 1
            if gates in packed and tries[gates] <= times:
                return {**reply, "samples_ms": [LATE_MS] * 3, "steady": False, "marks": ["wide"] * tries[gates]}
            return {**reply, "samples_ms": [CALM_MS] * 3, "steady": True, "marks": []}

    return Disturbed()


@pytest.fixture
def once() -> PlanOptions:
    """Every subnet is measured once, so that its tries can be told by its gates."""
    return PlanOptions(n_subnets=30, seed=3, sentinel_every=8, repeat_share=0.0)


def subnets(plan: Any, n: int) -> set[int]:
    return {item.position for item in plan if item.kind == "subnet"} & set(range(2, 2 + n))


def test_a_disturbed_measurement_is_replaced_by_a_steady_one(
    store_path: Path, space: SubnetSpace, models: TemplateModels, begin: Begin, simulated: Any, once: PlanOptions
) -> None:
    plan = make_plan(space, once)
    with Store.open(store_path) as store:
        campaign = begin(store, once)
        said: list[str] = []
        session = disturbed_session(simulated, {3, 5}, plan)
        summary = run_campaign(session, store, campaign, space, models, cooldown_s=0.0, on_status=said.append)
        records = store.records(campaign)
    assert [record.latency_ms for record in records] == [CALM_MS] * len(plan)
    assert {record.position for record in records if record.attempts == 2} == {3, 5}
    assert summary.n_unsteady == 0 and summary.total == len(plan) and session.spool == {}
    assert said == ["2 measurements were disturbed; again after 0 s to cool down"]


def test_of_many_disturbed_tries_the_steadiest_stays_with_its_marks(
    store_path: Path, space: SubnetSpace, models: TemplateModels, begin: Begin, simulated: Any, once: PlanOptions
) -> None:
    with Store.open(store_path) as store:
        campaign = begin(store, once)
        session = disturbed_session(simulated, {3}, make_plan(space, once), times=99)
        summary = run_campaign(session, store, campaign, space, models, cooldown_s=0.0)
        record = next(record for record in store.records(campaign) if record.position == 3)
        n_jobs = len(session.jobs)
        run_campaign(session, store, campaign, space, models, cooldown_s=0.0)
    assert record.measurement.marks == ("wide",) and record.attempts == 3 and summary.n_unsteady == 1
    assert len(session.jobs) == n_jobs, "a rerun does not begin anew"


def test_a_device_that_is_never_steady_ends_in_bounded_time(
    store_path: Path, space: SubnetSpace, models: TemplateModels, begin: Begin, simulated: Any, once: PlanOptions
) -> None:
    plan = make_plan(space, once)
    with Store.open(store_path) as store:
        campaign = begin(store, once)
        session = disturbed_session(simulated, set(range(len(plan))), plan, times=99)
        summary = run_campaign(session, store, campaign, space, models, cooldown_s=0.0)
        records = store.records(campaign)
    assert len(records) == len(plan) == summary.n_unsteady
    assert len(session.jobs) <= len(plan) * (1 + 2 / 6) + 2
    assert {record.attempts for record in records if record.kind == "sentinel"} == {1}, "they show the disturbance"


def test_a_device_lost_meanwhile_costs_nothing(
    store_path: Path, space: SubnetSpace, models: TemplateModels, begin: Begin, simulated: Any, once: PlanOptions
) -> None:
    plan = make_plan(space, once)
    session = disturbed_session(simulated, {3, 5}, plan)

    def lose(n: int, gates: bytes) -> dict[str, str] | None:
        if n == len(plan):  # the first try again
            raise DeviceError("gone")
        return None

    session._fault = lose
    with Store.open(store_path) as store:
        campaign = begin(store, once)
        with pytest.raises(DeviceError, match=f"{len(plan)} of {len(plan)} records are stored"):
            run_campaign(session, store, campaign, space, models, cooldown_s=0.0)
        assert len(store.records(campaign)) == len(plan)
        assert run_campaign(session, store, campaign, space, models, cooldown_s=0.0).n_unsteady == 0
