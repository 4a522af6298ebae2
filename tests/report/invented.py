"""A page's data as a made-up campaign would give it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from edgewright.predictors.drift.levels import Stretch
from edgewright.report.page_data import (
    CampaignVerdict,
    Drift,
    Front,
    GateShares,
    Learning,
    PageData,
    Predictions,
    Verified,
)

N = 40


def predictions(quantity: str = "latency", unit: str = "ms") -> Predictions:
    rng = np.random.default_rng(3)
    measured = rng.uniform(0.1, 0.6, N)
    predicted = measured * (1 + 0.02 * rng.standard_normal(N))
    counts = tuple(f"{n} of 8, {n} of 16" for n in range(N))
    ends = 0.97 * predicted, 1.03 * predicted
    return Predictions(quantity, unit, measured, predicted, *ends, rng.random(N), counts, 1.5)  # type: ignore[arg-type]


def drift() -> Drift:
    rng = np.random.default_rng(4)
    positions = np.arange(N)
    after = rng.standard_normal(N)
    before = after + np.where(positions >= 20, 6.0, 0.0)
    return Drift(before, after, positions % 10 == 0, (Stretch(0, 20, 1.0), Stretch(20, N, 1.06)))


def front(task: str) -> Front:
    limit = np.linspace(0.1, 1.0, 6)
    return Front(task, limit, 0.6 * limit, 3 + limit, 2 * limit, np.sqrt(limit))


def page_data(**changes: Any) -> PageData:
    """A whole page: every chart has data."""
    data = PageData(
        device="bench",
        made_at="2024-05-01 12:00 UTC",
        facts=(("model", "Invented Board"), ("cores", "4")),
        protocol=(("runs", "at least 30"),),
        campaign=(("id", "7"), ("subnets", "40")),
        verdict=CampaignVerdict((), ("The device stayed as it was.",)),
        predictions=(predictions(), predictions("memory", "MiB")),
        drift=drift(),
        learning=Learning(np.array([10, 20, 30]), np.array([6.0, 3.0, 2.0]), 1.5, "30 subnets are enough."),
        fronts=(front("only two, even"), front("has, 7")),
        gate_shares=GateShares(
            0.2, ("only two, even", "has, 7"), ("conv1", "conv2"), np.array([[0.1, 0.3], [0.5, 0.2]]), 2
        ),
        verified=(Verified("2024-05-01", "has, 7", "latency", "ms", 0.4, 0.45, 0.41, 0.5),),
    )
    return replace(data, **changes)
