"""A supernet on this machine: profiled, watched, interrupted, resumed, customised."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from edgewright.costs import Budget
from edgewright.errors import BudgetError, InputError, Interrupted
from edgewright.profiling.progress import Progress
from edgewright.workbench.measured import NotProfiled
from edgewright.workbench.options import CampaignOptions
from edgewright.workbench.workbench import Workbench


@pytest.fixture
def fresh(workspace: Path, template: Any, tmp_path: Path) -> Any:
    """A workspace with nothing but the template, and what the workbench said."""
    (tmp_path / "templates").symlink_to(workspace / "templates")
    told: list[str] = []
    with Workbench(tmp_path, told.append) as bench:
        yield bench, told


def test_a_campaign_tells_how_far_it_is_and_is_what_predictors_learn_from(fresh: Any) -> None:
    bench, _ = fresh
    pair = bench.pair("local")
    with pytest.raises(NotProfiled):
        pair.customizer()
    seen: list[Progress] = []
    profiled = pair.profile(CampaignOptions(20, seed=3, sentinel_every=10), seen.append)
    assert seen[-1].done == seen[-1].total == profiled.summary.total == len(pair.records())
    assert profiled.campaign.options.seed == 3 and profiled.campaign.options.sentinel_every == 10
    assert profiled.campaign.source == pair.source
    assert pair.predictors().latency.n_records_ == 30, "20 subnets, 10 of them twice"


def test_stopped_it_goes_on_where_it_was(fresh: Any) -> None:
    bench, _ = fresh
    pair, stop = bench.pair("local"), threading.Event()
    with pytest.raises(InputError, match="no campaign of 'local' with this supernet to resume; start without `resume`"):
        pair.profile(CampaignOptions(resume=True))

    def interrupt(at: Progress) -> None:
        if at.done == 4:
            stop.set()

    with pytest.raises(Interrupted, match="stored"):
        pair.profile(CampaignOptions(8, repeat_share=0), interrupt, stop)
    (begun,) = bench.store.campaigns()
    before = bench.store.positions(begun)
    assert 4 <= len(before) < begun.n_planned
    resumed = pair.profile(CampaignOptions(resume=True))
    assert resumed.campaign == begun and resumed.summary.n_measured == begun.n_planned - len(before)


def test_the_model_that_fits_is_delivered_and_teaches_the_next(profiled: Path, tmp_path: Path, domain: Any) -> None:
    with Workbench(profiled) as bench:
        pair = bench.pair("local", bench.supernet(domain=domain))
        known, taught = len(pair.verifications()), pair.predictors().latency.n_records_
        artifact = pair.customize("has, 3", Budget(size_mib=0.7), tmp_path / "m.tflite", test_images=40)
        assert artifact.measured.size_mib is not None and artifact.measured.size_mib <= 0.7
        assert json.loads(artifact.manifest_path.read_bytes())["task"] == "has, 3"
        (*_, newest) = pair.verifications()
        assert len(pair.verifications()) == known + artifact.tries and newest.task == "has, 3"
        assert pair.predictors().latency.n_records_ == taught + artifact.tries
        with pytest.raises(BudgetError, match=r"no subnet for 'has, 3' meets 0.0001 ms on 'local'"):
            pair.customize("has, 3", Budget(latency_ms=0.0001), tmp_path / "none.tflite", test_images=40)
    assert not (tmp_path / "none.tflite").exists()


def test_what_is_slow_is_said(profiled: Path, tmp_path: Path, domain: Any) -> None:
    told: list[str] = []
    with Workbench(profiled, told.append) as bench:
        net = bench.supernet(precision="float16", domain=domain)
        (profiled / "templates" / f"{net.trained.digest}.float16.ewt").unlink(missing_ok=True)
        assert net.source
    assert told == ["quantising the supernet to float16 once (a few seconds)"]


def test_the_whole_supernet_costs_more_than_any_of_its_subnets_weighs(profiled: Path) -> None:
    with Workbench(profiled) as bench:
        pair = bench.pair("local")
        cost = pair.full_cost()
        smallest = pair.supernet.template.emit(pair.space.gates.smallest().pack()).tobytes()
        assert (cost.size_mib or 0) > len(smallest) / 2**20 and (cost.latency_ms or 0) > 0


def test_a_device_that_drifted_is_watched_more_closely(fresh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, told = fresh
    pair = bench.pair("local")
    monkeypatch.setattr(type(pair), "watch_interval", lambda self: 7)
    assert pair.profile(CampaignOptions(4, repeat_share=0)).campaign.options.sentinel_every == 7
    assert pair.profile(CampaignOptions(4, repeat_share=0, sentinel_every=3)).campaign.options.sentinel_every == 3
    assert told.count("a sentinel every 7 records, because of the drift in the last campaign") == 1
