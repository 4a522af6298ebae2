"""Change points of long series: as good as the optimum, without the optimum's time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from edgewright.predictors.drift import changes
from edgewright.predictors.drift.changes import SHORTEST, cheapest_partition
from numpy.typing import NDArray

NOISE = 0.02


def series(n: int, seed: int) -> NDArray[np.float64]:
    """Levels that last from five values to a third of the whole."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, NOISE, n)
    for _ in range(12):
        start, length = rng.integers(0, n), int(np.exp(rng.uniform(np.log(SHORTEST), np.log(n / 3))))
        values[start : start + length] += rng.normal(0, 0.08)
    return values


def cost(values: NDArray[np.float64], places: list[int], price: float) -> float:
    parts = np.split(values, places)
    return sum(float(((part - part.mean()) ** 2).sum()) for part in parts) + price * len(places)


@pytest.mark.parametrize("seed", range(4))
def test_a_long_series_costs_hardly_more_than_at_the_optimum(seed: int) -> None:
    values = series(3000, seed)
    price = 6 * NOISE**2 * float(np.log(len(values)))
    found, best = cheapest_partition(values, price), changes._optimum(values, price)
    assert len(best) > 4
    assert cost(values, found, price) <= 1.001 * cost(values, best, price)


def test_a_small_change_that_lasts_is_found() -> None:
    """Half of the noise's deviation: in no window does it show."""
    values = np.random.default_rng(0).normal(0, NOISE, 20_000)
    values[9000:] += NOISE / 2
    (place,) = cheapest_partition(values, 6 * NOISE**2 * float(np.log(len(values))))
    assert abs(place - 9000) < 100


def test_no_stretch_is_too_short() -> None:
    values = np.repeat(np.random.default_rng(0).normal(0, 1, 1000), 4)
    ends = [0, *cheapest_partition(values, 1e-9), len(values)]
    assert len(ends) > 500 and np.diff(ends).min() >= SHORTEST


@pytest.mark.parametrize("n", [10_000, 40_000])
def test_the_work_grows_as_the_series(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The optimum's work is the square of its length."""
    lengths: list[int] = []
    optimum = changes._optimum

    def counting(values: Any, price: float) -> list[int]:
        lengths.append(len(values))
        return optimum(values, price)

    monkeypatch.setattr(changes, "_optimum", counting)
    cheapest_partition(series(n, 0), 6 * NOISE**2 * float(np.log(n)))
    assert sum(length**2 for length in lengths) < 2000 * n
