"""Two agents of this machine at once: a thread, a session and a store each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from edgewright.errors import DeviceError, InputError, Interrupted
from edgewright.profiling.progress import Progress
from edgewright.workbench.fleet import profile_fleet, raise_first
from edgewright.workbench.options import CampaignOptions
from edgewright.workbench.workbench import Workbench

SMALL = CampaignOptions(6, repeat_share=0, patience_s=0)


@pytest.fixture
def bench(workspace: Path, template: Any, tmp_path: Path) -> Any:
    (tmp_path / "templates").symlink_to(workspace / "templates")
    with Workbench(tmp_path) as opened:
        opened.registry.add("twin", "local:")
        opened.registry.add("gone", "ssh://nobody@127.0.0.1:9")
        yield opened


def devices(bench: Workbench, *names: str) -> list[Any]:
    return [bench.device(name) for name in names]


def silent(*names: str) -> dict[str, Any]:
    return {name: lambda at: None for name in names}


def test_what_one_does_never_stops_the_other(bench: Workbench) -> None:
    told: dict[str, list[Progress]] = {"local": [], "gone": []}
    on_progress = {name: seen.append for name, seen in told.items()}
    done, failed = profile_fleet(bench, devices(bench, "local", "gone"), bench.supernet(), SMALL, on_progress)
    positions = {at.last.position for at in told["local"]}  # what was disturbed is told again
    assert list(done) == ["local"] and done["local"].summary.n_measured == len(positions) >= 6
    assert list(failed) == ["gone"] and isinstance(failed["gone"], DeviceError) and told["gone"] == []
    with pytest.raises(DeviceError, match="gone: .*; done: local"):
        raise_first(failed, list(done))


def test_one_campaign_is_shared_and_each_has_its_part(bench: Workbench) -> None:
    both = ("local", "twin")
    net, targets = bench.supernet(), devices(bench, *both)
    done, failed = profile_fleet(bench, targets, net, SMALL, silent(*both), spread=True)
    assert failed == {} and [done[name].campaign.options.share for name in both] == [0, 1]
    measured = [
        {record.architecture.digest for record in bench.store.records(each.campaign, ["subnet"])}
        for each in done.values()
    ]
    assert len(measured[0] | measured[1]) == 6 and not measured[0] & measured[1]


def test_resuming_begins_what_one_device_never_began(bench: Workbench) -> None:
    net, both = bench.supernet(), ("local", "twin")
    resume = CampaignOptions(resume=True)
    with pytest.raises(InputError, match="no campaign of 'local', 'twin' to resume; start without `resume`"):
        profile_fleet(bench, devices(bench, *both), net, resume, silent(*both))
    begun = bench.pair("local", net).profile(SMALL).campaign
    done, failed = profile_fleet(bench, devices(bench, *both), net, resume, silent(*both))
    assert failed == {} and done["local"].campaign == begun and done["local"].summary.n_measured == 0
    assert done["twin"].campaign.options == begun.options and done["twin"].summary.n_measured >= 6


def test_a_device_is_named_once(bench: Workbench) -> None:
    with pytest.raises(InputError, match="local"):
        profile_fleet(bench, devices(bench, "local", "local"), bench.supernet(), SMALL, silent("local"))


def test_of_several_errors_the_first_that_is_no_interruption_gives_the_kind() -> None:
    raise_first({}, ["local"])
    with pytest.raises(DeviceError, match="b: lost; a: stopped"):
        raise_first({"a": Interrupted("stopped"), "b": DeviceError("lost")}, [])
