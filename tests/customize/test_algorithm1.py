import pytest
import torch
from edgewright.assembler.assembler import Assembler, AssemblerConfig
from edgewright.costs import Budget, Cost, Estimate
from edgewright.customize.algorithm1 import ask_all_limits
from edgewright.domains.numvqa import domain as numvqa
from edgewright.gates import GateSpace, Site

SPACE = GateSpace((Site("a", 30), Site("b", 70)))


@pytest.fixture
def candidates():
    torch.manual_seed(0)
    assembler = Assembler(numvqa.SPACE, SPACE, AssemblerConfig(limit_dim=8, selection_dim=16, n_gaters=2))
    return ask_all_limits(assembler, numvqa.SPACE.parse("only two even"), per_module)


def per_module(gates):
    """A millisecond per open module."""
    costs = [Cost(latency_ms=float(sum(item.counts)), memory_mib=1.0) for item in gates]
    return [Estimate(cost, cost) for cost in costs]


def test_every_candidate_keeps_its_limit_and_no_two_are_alike(candidates):
    assert all(item.gates.ratio <= item.request.limit + 1e-9 for item in candidates.items)
    assert len({item.gates for item in candidates.items}) == len(candidates.items) > 5


def test_the_largest_that_fits_comes_first(candidates):
    fitting = candidates.fitting(Budget(latency_ms=20.0))
    open_modules = [sum(item.gates.counts) for item in fitting]
    assert open_modules == sorted(open_modules, reverse=True)
    assert open_modules[0] == max(n for n in (sum(i.gates.counts) for i in candidates.items) if n <= 20)


def test_a_measured_miss_shifts_the_choice_down_and_a_surplus_does_not_shift_it_up(candidates):
    budget = Budget(latency_ms=20.0)
    assert sum(candidates.fitting(budget, Cost(latency_ms=2.0))[0].gates.counts) <= 10
    assert candidates.fitting(budget, Cost(latency_ms=0.5)) == candidates.fitting(budget)


def test_an_impossible_budget_leaves_nothing_but_the_cheapest(candidates):
    budget = Budget(latency_ms=0.5)
    assert candidates.fitting(budget) == []
    assert candidates.cheapest(budget) is candidates.least("latency_ms")
