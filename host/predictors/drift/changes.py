"""Change points of a series: the partition with the least squared error and a price on every stretch.

Of a short series the exact optimum (PELT, Killick et al., 2012), in time that grows with the square of its length. Of a
long one the optimum over the points where a change shows: in windows of it, for levels that are short, and in means of
blocks of it, for levels that differ little and last.

Shapes: `n` values in time, `k` change points.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...spaces.features import FloatArray

SHORTEST = 5  # values; a shorter burst is noise, not a level

_EXACT = 2048  # values
_WINDOW = 512
_BLOCK = 8  # values whose mean is one of the shorter series

Indices = NDArray[np.intp]


def cheapest_partition(values: FloatArray, price: float) -> list[int]:
    """Where the stretches of `values` `(n,)` but the first one start, each of at least five values."""
    if len(values) < 2 * SHORTEST:
        return []
    if len(values) <= _EXACT:
        return _optimum(values, price)
    sums = _Sums(values)
    return sums.cheapest(np.union1d(_in_windows(values, price), _in_blocks(values, price, sums)), price)


def _optimum(values: FloatArray, price: float) -> list[int]:
    from ruptures import KernelCPD  # slow to import

    # With a linear kernel its cost is the squared error.
    search = KernelCPD(kernel="linear", min_size=SHORTEST)
    ends: list[int] = search.fit(values[:, None]).predict(pen=float(price))  # n is the last
    return list(map(int, ends[:-1]))


def _in_windows(values: FloatArray, price: float) -> Indices:
    """Each half of a window is the middle of some window, but at both ends of the series."""
    found: list[int] = []
    for start in range(0, len(values) - _WINDOW // 2, _WINDOW // 2):
        found += [start + point for point in _optimum(values[start : start + _WINDOW], price)]
    return np.array(found, np.intp)


def _in_blocks(values: FloatArray, price: float, sums: _Sums) -> Indices:
    """Changes of the means of blocks, each moved to where it is sharpest."""
    n_blocks = len(values) // _BLOCK
    means = values[: n_blocks * _BLOCK].reshape(n_blocks, _BLOCK).mean(axis=1)
    return sums.sharpened(np.array(cheapest_partition(means, price / _BLOCK), np.intp) * _BLOCK, _BLOCK)


class _Sums:
    """Squared errors of any stretches of one series, from its running sums."""

    def __init__(self, values: FloatArray) -> None:
        centred = values - values.mean()
        self._n = len(values)
        self._first, self._second = (np.concatenate([[0.0], np.cumsum(part)]) for part in (centred, centred**2))

    def error(self, starts: Indices, stops: Indices) -> FloatArray:
        """Of each stretch about its mean, `(k,)`; none is empty."""
        first, second = (sums[stops] - sums[starts] for sums in (self._first, self._second))
        error: FloatArray = second - first**2 / (stops - starts)
        return error

    def sharpened(self, points: Indices, reach: int) -> Indices:
        """Each of `points` `(k,)` moved by at most `reach` to where both sides of it, up to the next points, fit best.
        """
        if not len(points):
            return points
        before = np.concatenate([[0], points[:-1]])
        after = np.concatenate([points[1:], [self._n]])
        tried = points[:, None] + np.arange(-reach, reach + 1)  # (k, 2 * reach + 1)
        tried = np.clip(tried, before[:, None] + 1, after[:, None] - 1)
        error = self.error(before[:, None], tried) + self.error(tried, after[:, None])
        return np.asarray(tried[np.arange(len(points)), error.argmin(axis=1)], np.intp)

    def cheapest(self, points: Indices, price: float) -> list[int]:
        """The optimum over `points` `(k,)`, ascending, as PELT finds it."""
        ends = np.concatenate([[0], points[(points >= SHORTEST) & (points <= self._n - SHORTEST)], [self._n]])
        best, last = np.empty(len(ends)), np.zeros(len(ends), np.intp)
        best[0] = -price
        starts = np.array([0])  # of last stretches that are not ruled out
        waiting: deque[tuple[int, Indices]] = deque([])  # an end that is too near to start at, and what it rules out
        for index in range(1, len(ends)):
            while waiting and ends[waiting[0][0]] + SHORTEST <= ends[index]:
                start, ruled_out = waiting.popleft()
                starts = np.append(np.setdiff1d(starts, ruled_out, assume_unique=True), start)
            costs = best[starts] + self.error(ends[starts], np.array([ends[index]])) + price
            last[index], best[index] = starts[costs.argmin()], costs.min()
            waiting.append((index, starts[costs - price > best[index]]))
        return _chain(ends, last)


def _chain(ends: Indices, last: Sequence[int] | Indices) -> list[int]:
    """The points on the way from the last end back to 0, ascending, without both."""
    chain, index = [], int(last[-1])
    while index:
        chain.append(int(ends[index]))
        index = int(last[index])
    return chain[::-1]
