"""What a budget buys, of the shipped supernet."""

from typing import Any

import numpy as np
import pytest
from edgewright.costs import Cost, Estimate
from edgewright.customize.pareto import ParetoPoint, pareto_front, pareto_points
from edgewright.domains.numvqa import domain as numvqa


def test_every_answer_is_a_point_with_the_exact_size_of_its_file(trained: Any, template: Any) -> None:
    def per_module(gates: Any) -> list[Estimate]:
        costs = [Cost(float(sum(item.counts))) for item in gates]
        return [Estimate(cost, cost) for cost in costs]

    points = pareto_points(trained.assembler, template, per_module, numvqa.SPACE.parse("only two even"))
    assert len(points) > 20 and [each.gates.ratio for each in points] == sorted(each.gates.ratio for each in points)
    for each in (points[0], points[-1]):
        assert each.latency_ms == sum(each.gates.counts) and each.memory_mib is None
        assert each.size_mib == len(template.emit(each.gates.pack()).tobytes()) / 2**20
    assert 0 < points[0].score < points[-1].score <= 1


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
