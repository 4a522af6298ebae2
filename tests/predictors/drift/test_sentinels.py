"""A calm device is watched seldom, a drifting one often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from edgewright.predictors.drift.correction import correct
from edgewright.predictors.drift.sentinels import USUAL, sentinel_interval
from edgewright.profiling.records import Record
from edgewright.spaces.gates import SubnetSpace


def slowed(records: Sequence[Record], factors: Sequence[float]) -> list[Record]:
    def one(record: Record, factor: float) -> Record:
        (sample,) = record.measurement.samples_ms or ()
        return replace(record, measurement=replace(record.measurement, samples_ms=(sample * factor,)))

    return [one(record, factor) for record, factor in zip(records, factors, strict=True)]


def interval(records: Sequence[Record], space: SubnetSpace) -> int:
    return sentinel_interval(correct(records, space))


@pytest.mark.parametrize("seed", range(5))
def test_a_calm_device_needs_few(space: SubnetSpace, invented: Any, seed: int) -> None:
    assert interval(invented.records(300, noise=0.03, seed=seed), space) >= 30


@pytest.mark.parametrize("seed", range(5))
def test_one_that_wanders_needs_more_the_more_it_wanders(
    space: SubnetSpace, invented: Any, seed: int
) -> None:
    records = invented.records(300, noise=0.02, seed=seed)
    steps = np.random.default_rng(seed).standard_normal(len(records))

    def wandering(step: float) -> int:
        """A walk of `step` a record should be watched every 4 (0.01 / step)^2 records."""
        return interval(slowed(records, np.exp(np.cumsum(step * steps)).tolist()), space)

    assert 8 <= wandering(0.005) <= 32, "16 by the formula"
    assert wandering(0.02) == 5, "1 by the formula, but then half of all records would be sentinels"


def test_short_levels_are_seen_by_several(space: SubnetSpace, invented: Any) -> None:
    records = invented.records(300, noise=0.02)
    blocks = [1.25 if (index // 30) % 2 else 1.0 for index in range(len(records))]
    assert interval(slowed(records, blocks), space) <= 10


def test_of_a_short_campaign_nothing_is_concluded(space: SubnetSpace, invented: Any) -> None:
    assert interval(invented.records(20), space) == USUAL
