"""Change points are the optimum, whoever computes them; curves do not look across them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from edgewright.predictors.drift.levels import LEVELS, DriftCurve, change_points, choose_neighbours, running_median
from numpy.typing import NDArray
from scipy.ndimage import median_filter

Array = NDArray[np.float64]
SHORTEST, PENALTY = 5, 6.0


def optimum(values: Array) -> list[int]:
    """Optimal partitioning (Jackson et al., 2005): every stretch of at least five values that ends at each place."""
    n = len(values)
    around = median_filter(values, size=9, mode="nearest")
    reach = 3 * 1.4826 * float(np.median(np.abs(values - around)))
    values = around + np.clip(values - around, -reach, reach)
    noise = 1.4826 * float(np.median(np.abs(np.diff(values)))) / np.sqrt(2)
    price = PENALTY * max(noise, 1e-6) ** 2 * np.log(n)
    sums, squares = (np.concatenate([[0.0], np.cumsum(part)]) for part in (values, values**2))
    best, last = np.full(n + 1, np.inf), np.zeros(n + 1, int)
    best[0] = -price
    for stop in range(SHORTEST, n + 1):
        starts = np.arange(0, stop - SHORTEST + 1)
        within = squares[stop] - squares[starts] - (sums[stop] - sums[starts]) ** 2 / (stop - starts)
        costs = best[starts] + within + price
        last[stop] = starts[np.argmin(costs)]
        best[stop] = costs[last[stop]]
    points = [n]
    while points[-1]:
        points.append(int(last[points[-1]]))
    return points[:0:-1]


def noise(rng: np.random.Generator, n: int) -> Array:
    return rng.normal(0, 0.02, n)


def levels(rng: np.random.Generator, n: int) -> Array:
    values = noise(rng, n)
    for _ in range(4):
        start, stop = sorted(rng.integers(0, n, 2).tolist())
        values[start:stop] += rng.normal(0, 0.1)
    return values


def walk(rng: np.random.Generator, n: int) -> Array:
    return noise(rng, n) + np.cumsum(rng.normal(0, 0.01, n))


def outliers(rng: np.random.Generator, n: int) -> Array:
    return levels(rng, n) + 0.5 * (rng.random(n) < 0.1)


def rounded(rng: np.random.Generator, n: int) -> Array:
    return np.round(levels(rng, n), 2)


@pytest.mark.parametrize("device", [noise, levels, walk, outliers, rounded])
@pytest.mark.parametrize("n", [10, 11, 60, 232])
def test_the_partition_is_the_cheapest(device: Callable[[np.random.Generator, int], Array], n: int) -> None:
    for seed in range(6):
        values = device(np.random.default_rng(seed), n)
        assert change_points(values) == optimum(values)


def test_too_few_values_are_one_stretch() -> None:
    assert [change_points(np.arange(float(n))) for n in (1, 9)] == [[0], [0]]


def test_a_constant_has_one_level() -> None:
    assert change_points(np.full(100, 0.3)) == [0]
    assert change_points(np.full(100, 1e3)) == [0]


def test_change_points_are_where_the_level_changes() -> None:
    values = np.random.default_rng(0).normal(0, 0.02, 300)
    assert change_points(values) == [0]
    values[120:] += 0.18
    values[50] = 0.9  # a single outlier is no stretch
    assert [abs(point - where) < 3 for point, where in zip(change_points(values), (0, 120), strict=True)] == [True] * 2


def test_a_curve_does_not_look_across_a_change() -> None:
    times = np.arange(100.0)
    values = np.where(times < 40, 0.0, 0.5) + np.random.default_rng(1).normal(0, 0.01, 100)
    for neighbours in (LEVELS, 16):
        curve = DriftCurve(times, values, neighbours)
        assert curve(np.array([39.0, 40.0, -5.0, 200.0])) == pytest.approx([0, 0.5, 0, 0.5], abs=0.02)
    assert DriftCurve(times, values, 0)(times).tolist() == [0.0] * 100
    assert choose_neighbours(times, values, [0, LEVELS, 16]) == LEVELS


def test_a_running_median_looks_to_both_sides() -> None:
    order = np.array([30.0, 10.0, 20.0, 40.0])
    values = np.array([3.0, 1.0, 2.0, 4.0])
    assert running_median(order, values, np.array([0.0, 25.0, 99.0]), 2).tolist() == [1.5, 2.5, 3.5]
