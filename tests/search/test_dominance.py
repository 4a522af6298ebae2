import itertools

import numpy as np
import pytest
from edgewright.errors import InputError
from edgewright.search import dominance
from edgewright.search.dominance import non_dominated


def by_definition(rows):
    def dominates(one, other):
        return all(a <= b for a, b in zip(one, other, strict=True)) and any(
            a < b for a, b in zip(one, other, strict=True)
        )

    return [not any(dominates(other, row) for other in rows) for row in rows]


@pytest.mark.parametrize(("seed", "k"), itertools.product(range(4), (1, 2, 4)))
def test_the_front_is_what_the_definition_says(seed, k):
    rows = np.random.default_rng(seed).integers(0, 5, (60, k)).astype(float)  # with many ties
    assert non_dominated(rows).tolist() == by_definition(rows.tolist())


def test_many_rows_are_compared_in_parts(monkeypatch):
    rows = np.random.default_rng(0).random((50, 3))
    whole = non_dominated(rows)
    monkeypatch.setattr(dominance, "_AT_ONCE", 400)
    assert non_dominated(rows).tolist() == whole.tolist()
    assert 0 < whole.sum() < 50


def test_equal_rows_stay_together_and_infinite_ones_are_compared():
    rows = np.array([[1.0, 2.0], [1.0, 2.0], [np.inf, 1.0], [np.inf, 3.0]])
    assert non_dominated(rows).tolist() == [True, True, True, False]


def test_nothing_has_an_empty_front():
    assert non_dominated(np.zeros((0, 3))).tolist() == []


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match=r"must have shape \(n, k\), got \(3,\)"):
        non_dominated(np.zeros(3))
    with pytest.raises(InputError, match="must be numbers"):
        non_dominated(np.array([[1.0, np.nan]]))
