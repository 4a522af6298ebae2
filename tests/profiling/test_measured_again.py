"""Disturbed measurements: stored at once, measured again after a pause, the steadiest kept. The device is simulated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgewright.errors import DeviceError
from edgewright.profiling.campaign import run_campaign
from edgewright.profiling.models import TemplateModels
from edgewright.profiling.plan import Campaign, PlanOptions, make_plan
from edgewright.profiling.store.store import Store
from edgewright.spaces.gates import SubnetSpace

Begin = Callable[..., Campaign]
LATE_MS, CALM_MS = 77.0, 5.0


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
