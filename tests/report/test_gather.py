"""From a real campaign's store to the page's data."""

from __future__ import annotations

from typing import Any

from edgewright.domains.numvqa import domain as numvqa
from edgewright.report.gather import gather, page_data
from edgewright.report.page import render
from edgewright.workbench.workbench import Workbench


def test_a_real_campaign_gives_every_part(profiled: Any, trained: Any, template: Any) -> None:
    with Workbench(profiled) as bench:
        pair = bench.pair("local")
        records = pair.records()
        data = page_data(gather(pair), numvqa.TASKS[:8])
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
