import math

import pytest
from edgewright.costs import Budget, Cost
from edgewright.errors import InputError


@pytest.mark.parametrize("value", [math.nan, 0.0, -3.0, math.inf])
def test_a_bound_that_is_no_positive_number_is_refused_with_its_value(value):
    with pytest.raises(InputError, match=rf"latency_ms must be a finite number above 0, got {value}"):
        Budget(latency_ms=value)


def test_an_empty_budget_names_the_three_bounds():
    with pytest.raises(InputError, match="`latency_ms`, `memory_mib`, `size_mib`"):
        Budget()


def test_a_cost_fits_up_to_and_including_the_bound():
    budget = Budget(latency_ms=2.0, memory_mib=8.0)
    assert budget.fits(Cost(latency_ms=2.0, memory_mib=8.0))
    assert budget.misses(Cost(latency_ms=3.0, memory_mib=8.0)) == {"latency_ms": 1.5}


def test_an_unknown_cost_never_fits():
    assert not Budget(memory_mib=8.0).fits(Cost(latency_ms=1.0))
