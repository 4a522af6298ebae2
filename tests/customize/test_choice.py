"""Which subnet is tried, and which after a miss: all computed, on a small untrained assembler."""

import math
from dataclasses import replace

import pytest
import torch
from edgewright.assembler.assembler import Assembler, AssemblerConfig
from edgewright.costs import Budget, Cost, Estimate
from edgewright.customize.choice import Choice, Try, correction, scaled, sized
from edgewright.domains.numvqa import domain as numvqa
from edgewright.gates import GateSpace, Site

SPACE = GateSpace((Site("a", 30), Site("b", 70)))
TASK = numvqa.SPACE.parse("only two even")


def per_module(gates):
    """A millisecond per open module, at most a tenth more."""
    return [Estimate(Cost(float(n), 1.0), Cost(1.1 * n, 1.0)) for n in (sum(item.counts) for item in gates)]


def n_open(candidate):
    return sum(candidate.gates.counts)


@pytest.fixture(scope="module")
def assembler():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Assembler(numvqa.SPACE, SPACE, AssemblerConfig(limit_dim=8, selection_dim=16, n_gaters=2))


def choice(assembler, latency_ms, **options):
    return Choice(assembler, TASK, Budget(latency_ms=latency_ms), per_module, **options)


def test_the_first_is_the_largest_that_is_sure_to_fit_filled_up_to_the_budget(assembler):
    def uneven(gates):
        """Modules of the first site cost thrice as much: the assembler's answers leave something of a budget."""
        costs = [Cost(3.0 * item.counts[0] + item.counts[1], 1.0) for item in gates]
        return [Estimate(cost, cost) for cost in costs]

    more = 0
    for latency_ms in (20.5, 31.0, 42.5, 53.0):
        asked = Choice(assembler, TASK, Budget(latency_ms=latency_ms), uneven)
        plain, filled = replace(asked, fills=False).first(), asked.first()
        assert plain.gates == asked.candidates.fitting(asked.budget)[0].gates
        assert (plain.gates.bits <= filled.gates.bits).all() and asked.budget.fits(filled.estimate.upper)
        assert filled.filled == (filled.gates != plain.gates) and filled.estimate == uneven([filled.gates])[0]
        more += n_open(filled) - n_open(plain)
    assert more > 0


def test_where_nothing_is_sure_to_fit_the_one_that_comes_closest_is_tried(assembler):
    asked = choice(assembler, 0.5)
    assert asked.first() is asked.candidates.cheapest(asked.budget)


def test_after_a_miss_the_next_fits_by_what_was_measured(assembler):
    asked = choice(assembler, 22.0)
    tries = [Try(asked.first(), Cost(latency_ms=40.0, memory_mib=1.0))]  # twice what was predicted
    following = asked.following(tries)
    assert 2 * 1.1 * n_open(following) <= 22.0 < 2 * 1.1 * (n_open(following) + 1)
    assert following.estimate.predicted.latency_ms == 2 * n_open(following)


def test_every_further_try_is_smaller_until_none_is_left(assembler):
    asked, tries = choice(assembler, 22.0), []
    candidate = asked.first()
    while candidate is not None:
        assert all(candidate.gates.ratio < each.candidate.gates.ratio for each in tries)
        tries.append(Try(candidate, Cost(22.1, 1.0)))  # whatever is tried misses by a little
        assert len(tries) < 30
        candidate = asked.following(tries)
    assert len(tries) > 2


def test_the_worst_of_all_tries_corrects_and_what_is_unknown_does_not(assembler):
    candidate = choice(assembler, 22.0).first()
    tries = [Try(candidate, Cost(30.0, None)), Try(candidate, Cost(20.0, 1.5, 0.2))]
    assert correction(per_module, tries) == Cost(latency_ms=1.5, memory_mib=1.5, size_mib=None)
    infinite = [Estimate(Cost(math.inf, 0.0), Cost(math.inf, 0.0))] * 2
    assert correction(lambda gates: infinite, tries) == Cost()


def test_a_device_faster_than_predicted_changes_no_prediction():
    gates = [SPACE.from_counts([2, 3])]
    assert scaled(per_module, Cost(0.5, 2.0))(gates)[0].upper == Cost(5.5, 2.0)


def test_file_sizes_are_asked_for_once_per_counts():
    asked = []

    def size_mib(gates):
        asked.append(gates.counts)
        return 0.25

    model = sized(per_module, size_mib)
    gates = [SPACE.from_counts([2, 3]), SPACE.from_counts([2, 3]), SPACE.from_counts([1, 3])]
    for _ in range(2):
        estimates = model(gates)
        assert [each.predicted.size_mib for each in estimates] == [0.25] * 3
        assert estimates[0].upper == Cost(5.5, 1.0, 0.25)
    assert asked == [(2, 3), (1, 3)]
