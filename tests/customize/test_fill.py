"""The rest of a budget is spent; compared with every other way of spending it."""

import itertools

import numpy as np
import pytest
from edgewright.assembler.request import Request
from edgewright.costs import Budget, Cost, Estimate
from edgewright.customize.algorithm1 import Candidate, Candidates
from edgewright.customize.fill import allowed_by, fill, value_of_modules
from edgewright.domains.numvqa import domain as numvqa
from edgewright.errors import InputError
from edgewright.gates import Gates, GateSpace, Site

SPACE = GateSpace((Site("a", 4), Site("b", 3), Site("c", 5)))
ALL = np.ones(SPACE.total, bool)


def modelled(latency, memory=lambda counts: 1.0, margin=1.0):
    """A cost model of functions of the counts, with an upper end `margin` times what is predicted."""

    def predict(gates):
        costs = [Cost(latency_ms=float(latency(g.counts)), memory_mib=float(memory(g.counts))) for g in gates]
        return [Estimate(c, Cost(margin * c.latency_ms, margin * c.memory_mib)) for c in costs]

    return predict


def linear(per_site):
    return lambda counts: 1.0 + float(np.dot(counts, per_site))


def best_by_trying(start, weights, allowed, budget, predict):
    closed = np.flatnonzero(allowed & ~start.bits)
    values = value_of_modules(weights)
    best = 0.0
    for chosen in itertools.product([False, True], repeat=len(closed)):
        bits = start.bits.copy()
        bits[closed] = chosen
        gates = Gates(SPACE, bits)
        if budget.fits(predict([gates])[0].upper):
            best = max(best, values[bits].sum())
    return best


@pytest.mark.parametrize("seed", range(12))
def test_nothing_worth_more_fits_a_linear_cost(seed):
    rng = np.random.default_rng(seed)
    start = SPACE.sample(0.2, rng)
    weights, allowed = rng.normal(0, 2, SPACE.total), rng.random(SPACE.total) < 0.8
    predict = modelled(linear(rng.uniform(0.2, 2, 3)), linear(rng.uniform(0.2, 2, 3)), margin=1.1)
    least, most = predict([start, SPACE.full()])
    share = rng.uniform(0.2, 0.9, 2)
    budget = Budget(
        latency_ms=least.upper.latency_ms + share[0] * (most.upper.latency_ms - least.upper.latency_ms),
        memory_mib=least.upper.memory_mib + share[1] * (most.upper.memory_mib - least.upper.memory_mib),
    )
    filled = fill(start, weights, allowed, budget, predict, gap=0.0, seconds=10.0)
    assert budget.fits(predict([filled])[0].upper)
    assert ((filled.bits & ~start.bits) <= allowed).all()
    assert value_of_modules(weights)[filled.bits].sum() == pytest.approx(
        best_by_trying(start, weights, allowed, budget, predict)
    )


@pytest.mark.parametrize(
    "latency",
    [
        lambda counts: 1 + counts[0] * counts[1] + counts[1] * counts[2],
        lambda counts: 1 + sum(-(-n // 2) for n in counts),
    ],
    ids=["products", "steps of two"],
)
def test_other_costs_are_kept_and_nothing_more_would_fit(latency):
    rng = np.random.default_rng(1)
    start, weights = SPACE.smallest(), rng.normal(size=SPACE.total)
    predict = modelled(latency)
    budget = Budget(latency_ms=5.5)
    filled = fill(start, weights, ALL, budget, predict)
    assert budget.fits(predict([filled])[0].upper)
    assert (filled.bits >= start.bits).all() and filled != start
    for module in np.flatnonzero(~filled.bits):
        bits = filled.bits.copy()
        bits[module] = True
        assert not budget.fits(predict([Gates(SPACE, bits)])[0].upper)


def test_modules_that_cost_nothing_are_opened_up_to_the_tile():
    predict = modelled(lambda counts: 4 * -(-counts[0] // 4) + counts[1] + counts[2])
    filled = fill(SPACE.smallest(), np.full(SPACE.total, -3.0), ALL, Budget(latency_ms=6.0), predict)
    assert filled.counts == (4, 1, 1)


def test_the_modules_of_a_site_open_in_the_order_of_their_weights():
    weights = np.array([0.0, -3, -1, -2, 0, -5, -4, 0, -1, -2, -3, -4.0])
    filled = fill(SPACE.smallest(), weights, ALL, Budget(latency_ms=6.0), modelled(lambda counts: sum(counts)))
    assert filled.bits.tolist() == [True, False, True, False, True, False, False, True, True, True, False, False]


def test_only_modules_that_the_task_opens_at_some_limit_are_allowed():
    task = numvqa.SPACE.parse("only two even")
    items = [
        Candidate(Request(task, 0.5), SPACE.from_counts(counts), Estimate(Cost(), Cost()))
        for counts in ([1, 1, 1], [2, 1, 3], [1, 2, 1])
    ]
    assert allowed_by(Candidates(tuple(items))).reshape(-1).sum() == 2 + 2 + 3
    filled = fill(
        SPACE.smallest(), np.zeros(SPACE.total), allowed_by(Candidates(tuple(items))), Budget(latency_ms=100.0),
        modelled(lambda counts: sum(counts)),
    )  # fmt: skip
    assert filled.counts == (2, 2, 3)


def test_a_start_that_does_not_fit_is_left_as_it_is():
    start = SPACE.smallest()
    filled = fill(start, np.zeros(SPACE.total), ALL, Budget(latency_ms=2.0), modelled(lambda counts: sum(counts)))
    assert filled == start


def test_weights_of_another_gate_space_are_refused():
    with pytest.raises(InputError, match=r"values must have shape \(12,\), got \(3,\)"):
        fill(SPACE.smallest(), np.zeros(3), ALL, Budget(latency_ms=2.0), modelled(lambda counts: 1.0))
