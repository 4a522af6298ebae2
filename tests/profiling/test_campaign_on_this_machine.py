"""A whole campaign on the real local agent: a converted supernet, its subnets cut out and timed, predictors fitted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from edgewright.device_agent.timing import TimingProtocol
from edgewright.devices import open_session
from edgewright.devices.registry import LOCAL
from edgewright.predictors.fitting import fit_predictors
from edgewright.predictors.judging.report import evaluate
from edgewright.profiling.campaign import begin_campaign, run_campaign
from edgewright.profiling.models import TemplateModels
from edgewright.profiling.plan import PlanOptions, make_plan
from edgewright.profiling.progress import CampaignSummary
from edgewright.profiling.records import Record
from edgewright.profiling.store.store import Store
from edgewright.spaces.gates import SubnetSpace

OPTIONS = PlanOptions(30, sentinel_every=15)


@dataclass(frozen=True)
class Supernet:
    space: SubnetSpace
    template: bytes


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    import torch
    from edgewright.converters.build import build_template
    from edgewright.device_agent.template import TemplateSite
    from edgewright.supernet.supernet import modularize
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(0)
    pool, flat = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    first, second = nn.Conv2d(1, 24, 3, padding=1), nn.Conv2d(24, 32, 3, padding=1)
    module = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), pool, flat, nn.Linear(32, 4)).eval()
    made = modularize(module, torch.randn(2, 1, 32, 32)).eval()
    sites = [TemplateSite(site.name, site.width, site.block) for site in made.space.sites]
    template = build_template(
        made.backbone,
        torch.randn(1, 1, 32, 32),
        sites,
        lambda masks: made.extract(made.space.from_masks(dict(masks))).eval(),
    )
    return Supernet(made.subnets, template.to_bytes())


@dataclass(frozen=True)
class Measured:
    summary: CampaignSummary
    records: list[Record]
    facts: dict[str, object]


@pytest.fixture(scope="module")
def measured(supernet: Supernet, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    workspace: Path = tmp_path_factory.mktemp("workspace")
    with Store.open(workspace / "store.sqlite") as store, open_session(LOCAL, workspace) as session:
        campaign = begin_campaign(
            store,
            device=LOCAL.name,
            space=supernet.space,
            source=session.put_blob(supernet.template),
            protocol=TimingProtocol(n_runs=10, min_time_ms=5.0),
            options=OPTIONS,
        )
        summary = run_campaign(session, store, campaign, supernet.space, TemplateModels(supernet.template))
        records = store.records(campaign)
        return Measured(summary, records, store.facts(records[0].facts_digest))


def test_every_position_has_real_numbers(measured: Measured, supernet: Supernet) -> None:
    plan = make_plan(supernet.space, OPTIONS)
    assert [record.architecture.digest for record in measured.records] == [item.architecture.digest for item in plan]
    assert measured.summary.n_failed == 0 and measured.summary.n_measured == len(plan)
    for record in measured.records:
        assert record.latency_ms is not None and record.latency_ms > 0
        assert record.measurement.samples_ms is not None and len(record.measurement.samples_ms) >= 10
        assert record.measurement.size_bytes is not None and record.measurement.child_ms is not None
        assert record.overhead_ms is not None
        assert record.measurement.health["before"] and record.measurement.health["after"]
    assert measured.facts and measured.summary.overhead_ms is not None


def test_wider_subnets_are_larger_and_slower(measured: Measured, supernet: Supernet) -> None:
    by_ratio = sorted(measured.records, key=lambda record: int(np.prod(record.features)))
    smallest, full = by_ratio[0], by_ratio[-1]
    assert full.features == supernet.space.gates.full().counts
    assert (smallest.latency_ms or 0) < (full.latency_ms or 0)
    assert (smallest.measurement.size_bytes or 0) < (full.measurement.size_bytes or 0)


def test_predictors_learn_from_the_records(measured: Measured, supernet: Supernet) -> None:
    report = evaluate(measured.records, supernet.space)
    assert report.noise_floor.n_repeated == 10 and report.noise_floor.latency is not None
    latency, memory = report.score("latency", "products"), report.score("memory", "products")
    assert latency is not None and (latency.n_test, latency.mape) > (7, 0)
    assert memory is not None and memory.spearman is not None and memory.spearman > 0.5
    predictors = fit_predictors(measured.records, supernet.space)
    smallest, full = (supernet.space.gates.smallest().counts, supernet.space.gates.full().counts)
    fast, slow = predictors.latency.predict(np.array([smallest, full]))
    assert 0 < fast < slow
