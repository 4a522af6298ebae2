"""Every architecture is predicted by a fit that had not seen it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from edgewright.predictors.judging.heldout import held_out
from edgewright.spaces.gates import SubnetSpace


def test_each_first_measurement_is_predicted(space: SubnetSpace, invented: Any) -> None:
    records = invented.records(100, noise=0.03)
    found = held_out("latency", records, space)
    first = [record for record in records if record.kind == "subnet"]
    assert found.measured.tolist() == [record.latency_ms for record in first]
    assert found.features.tolist() == [list(record.features) for record in first]
    assert np.abs(found.predicted / invented.cost(found.features) - 1).mean() < 0.03
    assert (found.low < found.predicted).all() and (found.predicted < found.high).all()
    assert 0.8 < ((found.low <= found.measured) & (found.measured <= found.high)).mean() <= 1


def test_none_has_seen_what_it_predicts(space: SubnetSpace, invented: Any) -> None:
    """Costs that nothing explains, the same each time: whoever has seen the repeat would know them."""
    rng = np.random.default_rng(0)
    own = {record.architecture.digest: float(rng.uniform(1, 9)) for record in invented.records(60)}
    records = [
        replace(each, measurement=replace(each.measurement, samples_ms=(own[each.architecture.digest],)))
        for each in invented.records(60)
    ]
    found = held_out("latency", records, space)
    assert np.abs(found.predicted / found.measured - 1).mean() > 0.3


@pytest.mark.parametrize("quantity", ["latency", "memory"])
def test_both_costs(space: SubnetSpace, invented: Any, quantity: Any) -> None:
    found = held_out(quantity, invented.records(60), space, confidence=0.8)
    assert found.quantity == quantity and found.confidence == 0.8
    scale = 2 if quantity == "memory" else 1
    assert found.predicted == pytest.approx(scale * invented.cost(found.features), rel=0.05)
