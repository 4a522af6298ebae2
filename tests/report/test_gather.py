"""From a real campaign's store to the page's data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from edgewright.customize.pareto import ParetoPoint, pareto_front
from edgewright.domains.numvqa import domain as numvqa
from edgewright.profiling.store.store import Store
from edgewright.report.gather import gather, page_data
from edgewright.report.page import render
from edgewright.workbench.profiles import campaign_with_records
from edgewright.workspace import Workspace


def test_a_real_campaign_gives_every_part(profiled: Any, trained: Any, template: Any) -> None:
    with Store.open(Workspace(profiled).store) as store:
        campaign, records = campaign_with_records(store, "local", template)
        assert campaign is not None
        data = page_data(gather(store, campaign, records, trained, template), numvqa.TASKS[:8])
    subnets = [record for record in records if record.kind == "subnet"]
    assert [found.quantity for found in data.predictions] == ["latency", "memory"]
    # What was disturbed, by whatever else this machine does, is neither taught nor judged.
    assert all(0.5 * len(subnets) < len(found.measured) <= len(subnets) for found in data.predictions)
    assert (data.predictions[0].low < data.predictions[0].high).all()
    assert data.drift is not None and len(data.drift.before) == len(records)
    assert len(data.fronts) == 4 and data.gate_shares is not None and data.gate_shares.shares.shape == (8, 9)
    assert (data.gate_shares.shares > 0).all()
    assert dict(data.campaign)["subnets"] == str(len(subnets))
    assert render(data).startswith(b"<!doctype html>")


def point(gates: Any, latency_ms: float, score: float, memory_mib: float | None = 1.0) -> ParetoPoint:
    return ParetoPoint(gates, 0.5, latency_ms, memory_mib, 1.0, score)


@pytest.mark.parametrize("memory_mib", [1.0, None])
def test_the_front_holds_what_nothing_beats(trained: Any, memory_mib: float | None) -> None:
    gates = trained.supernet.space.smallest()
    fast, good, beaten = (point(gates, ms, score, memory_mib) for ms, score in ((1, 0.2), (2, 0.9), (2, 0.5)))
    assert pareto_front([fast, beaten, good]) == (fast, good)
    assert pareto_front([good, good]) == (good, good) and pareto_front([]) == ()
    rng = np.random.default_rng(0)
    many = [point(gates, float(ms), float(score), memory_mib) for ms, score in rng.random((60, 2))]
    front = pareto_front(many)
    assert all(any(f.latency_ms <= p.latency_ms and f.score >= p.score for f in front) for p in many)
