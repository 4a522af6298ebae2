"""One campaign over identical devices: every subnet on exactly one of them, all of them in one table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from edgewright.errors import InputError
from edgewright.profiling.campaign import begin_campaign, run_campaign
from edgewright.profiling.fleet import check_identical, check_names, fleet_columns, fleet_records
from edgewright.profiling.models import TemplateModels
from edgewright.profiling.plan import PlanOptions, make_plan
from edgewright.profiling.store.store import Store
from edgewright.spaces.gates import SubnetSpace

FLEET = ("left", "middle", "right")
FACTS = {"model": "Board", "soc": "x", "machine": "aarch64", "cores": 4, "runtime": "ai-edge-litert"}


def options(share: int) -> PlanOptions:
    return PlanOptions(n_subnets=30, seed=3, sentinel_every=8, fleet=FLEET, share=share)


def test_the_shares_make_the_whole(space: SubnetSpace) -> None:
    whole = make_plan(space, PlanOptions(n_subnets=30, seed=3, sentinel_every=8))
    shares = [make_plan(space, options(share)) for share in range(3)]
    parts = [{item.architecture.digest for item in share if item.kind == "subnet"} for share in shares]
    assert [len(part) for part in parts] == [10, 10, 10]
    assert set.union(*parts) == {item.architecture.digest for item in whole if item.kind == "subnet"}
    for share, part in zip(shares, parts, strict=True):
        assert {item.architecture.digest for item in share if item.kind == "repeat"} <= part
        assert share.items[0].kind == share.items[-1].kind == "sentinel"
    assert len({share.digest for share in shares}) == 3


def test_a_share_is_a_place_in_the_fleet() -> None:
    for fleet, share in (((), 1), (("a", "b"), 2), (("a", "a"), 0), (("a",), -1)):
        with pytest.raises(InputError, match="`share` must be an index of `fleet`"):
            PlanOptions(n_subnets=10, fleet=fleet, share=share)
    assert PlanOptions.from_json(options(1).to_json()) == options(1)


class _Slower:
    """The simulated device, `factor` times slower than the others."""

    def __init__(self, session: Any, factor: float) -> None:
        self._session, self._factor = session, factor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def measure_each(self, *arguments: Any) -> Any:
        for reply in self._session.measure_each(*arguments):
            samples = [self._factor * sample for sample in reply.reply["samples_ms"]]
            yield reply._replace(reply={**reply.reply, "samples_ms": samples})


def test_records_of_the_fleet_are_one_table(
    store_path: Path, space: SubnetSpace, models: TemplateModels, simulated: Any
) -> None:
    """A device that is ten per cent slower throughout looks like the others in their table, not in the store."""
    with Store.open(store_path) as store:
        campaigns = []
        for share, name in enumerate(FLEET):
            campaigns.append(
                begin_campaign(
                    store, device=name, space=space, source=models.digest,
                    protocol=replace(_protocol()), options=options(share),
                )  # fmt: skip
            )
            session = _Slower(simulated(), 1.1 if name == "right" else 1.0)
            run_campaign(session, store, campaigns[-1], space, models)
        records, columns = fleet_records(store, campaigns[0]), fleet_columns(store, campaigns[0])
        stored = store.records(campaigns[2])
    assert columns.latency_ms.tolist() == [record.latency_ms for record in records]
    assert columns.devices == FLEET and columns.recorded.tolist() == [list(record.features) for record in records]
    subnets = [record for record in records if record.kind == "subnet"]
    assert len(subnets) == len({record.architecture.digest for record in subnets}) == 30
    assert {record.device for record in subnets} == set(FLEET)
    assert all(record.latency_ms == pytest.approx(sum(record.features) + 1) for record in subnets)
    assert stored[0].latency_ms == pytest.approx(1.1 * (sum(stored[0].features) + 1))


def test_a_device_that_has_not_measured_yet_has_no_say(
    store_path: Path, space: SubnetSpace, models: TemplateModels, simulated: Any
) -> None:
    with Store.open(store_path) as store:
        campaign = begin_campaign(
            store, device="left", space=space, source=models.digest,
            protocol=_protocol(), options=options(0),
        )  # fmt: skip
        run_campaign(simulated(), store, campaign, space, models)
        assert fleet_records(store, campaign) == store.records(campaign)


def test_only_identical_devices_share_a_campaign() -> None:
    check_identical({"a": FACTS, "b": dict(FACTS)})
    with pytest.raises(InputError, match="'a' and 'c' are not identical: cores is 4 and 8.*without `spread`"):
        check_identical({"a": FACTS, "b": FACTS, "c": {**FACTS, "cores": 8}})


def test_names_are_named_once_and_spreading_needs_two() -> None:
    check_names(["a", "b"], spread=True)
    check_names(["a"], spread=False)
    with pytest.raises(InputError, match="'a' is named twice"):
        check_names(["a", "b", "a"], spread=False)
    with pytest.raises(InputError, match="at least two identical devices to .spread. over, got 'a'"):
        check_names(["a"], spread=True)


def _protocol() -> Any:
    from edgewright.device_agent.timing import TimingProtocol

    return TimingProtocol(n_runs=3)
