"""How a device's speed changed while it measured: stretches of one level, and a slow curve inside each.

A throttled clock, another program or a new session change every latency by the same factor from one record to the next;
a warming chip changes it slowly. The first is found as change points, the second is a running median that does not look
across them. Both take time in proportion to n log n.

Shapes: `n` values in time, `q` times asked for.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter, rank_filter

from ...spaces.features import FloatArray
from .changes import SHORTEST, cheapest_partition

LEVELS = -1
"""In place of a number of neighbours: one level per stretch, no curve inside it."""

_PENALTY = 6.0  # times variance times log n: three standard errors for a stretch of ten in two hundred
_LEAST_NOISE = 1e-6  # well above what rounding makes of equal values
_WINDOW = 9
_WINSOR = 3.0
_PIECES, _PIECE = 16, 1024  # of a long series, for choices

Neighbours = int


@dataclass(frozen=True)
class Stretch:
    """Values `start` to `stop` (exclusive, in order of time) that share a level: a factor on every latency."""

    start: int
    stop: int
    level: float

    def __len__(self) -> int:
        return self.stop - self.start


class DriftCurve:
    """Log factors learnt from residuals `(n,)` at times `(n,)`; `neighbours` 0 means none, `LEVELS` one per stretch."""

    def __init__(self, times: FloatArray, residuals: FloatArray, neighbours: Neighbours) -> None:
        by_time = np.argsort(times, kind="stable")
        self._times, self._values = times[by_time], residuals[by_time]
        self._neighbours = neighbours
        self._set_starts([0] if neighbours == 0 else change_points(self._values))

    def _set_starts(self, starts: list[int]) -> None:
        self._parts = list(zip(starts, [*starts[1:], len(self._values)], strict=True))
        # A time between two stretches belongs to the nearer one.
        later = np.array(starts[1:], np.intp)
        self._borders = (self._times[later - 1] + self._times[later]) / 2

    def with_neighbours(self, neighbours: Neighbours) -> DriftCurve:
        """Over the same stretches, of a curve that has them."""
        curve = copy(self)
        curve._neighbours = neighbours
        if neighbours == 0:
            curve._set_starts([0])
        return curve

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        return tuple(
            Stretch(start, stop, float(np.exp(np.median(self._values[start:stop])))) for start, stop in self._parts
        )

    def __call__(self, times: FloatArray) -> FloatArray:
        """Log factors `(q,)` at `times` `(q,)`."""
        which = np.searchsorted(self._borders, times, side="right")  # (q,)
        by_part = np.argsort(which, kind="stable")
        ends = np.searchsorted(which[by_part], np.arange(len(self._parts) + 1))
        factors = np.zeros(len(times))
        for number, (start, stop) in enumerate(self._parts):
            here, size = by_part[ends[number] : ends[number + 1]], self._neighbours
            size = stop - start if size == LEVELS else size
            if size and len(here):
                part = slice(start, stop)
                factors[here] = running_median(self._times[part], self._values[part], times[here], size)
        return factors


def running_median(times: FloatArray, values: FloatArray, at: FloatArray, neighbours: int) -> FloatArray:
    """`(q,)`: at each time, the median of the `neighbours` values measured around it, half of them on either side."""
    by_time = np.argsort(times, kind="stable")
    size = min(neighbours, len(values))
    medians = _medians(values[by_time], size)  # (n - size + 1,)
    starts = np.searchsorted(times[by_time], at) - size // 2
    result: FloatArray = medians[np.clip(starts, 0, len(medians) - 1)]
    return result


def _medians(values: FloatArray, size: int) -> FloatArray:
    """Of every `size` values in a row, `(n - size + 1,)`."""
    if size == len(values):
        return np.array([np.median(values)])
    middle = slice(size // 2, size // 2 + len(values) - size + 1)  # windows that end within the values
    upper: FloatArray = rank_filter(values, size // 2, size=size)[middle]
    if size % 2:
        return upper
    return (rank_filter(values, size // 2 - 1, size=size)[middle] + upper) / 2


def change_points(values: FloatArray) -> list[int]:
    """Where stretches start, 0 first: the partition with the least squared error and a price on every stretch.

    Single outliers are pulled towards their surroundings first, so that they do not pass for a level.
    """
    n = len(values)
    if n < 2 * SHORTEST:
        return [0]
    values = _winsorised(values)
    noise = 1.4826 * float(np.median(np.abs(np.diff(values)))) / np.sqrt(2)
    price = _PENALTY * max(noise, _LEAST_NOISE) ** 2 * np.log(n)
    return [0, *cheapest_partition(values, float(price))]


def _winsorised(values: FloatArray) -> FloatArray:
    around = median_filter(values, size=_WINDOW, mode="nearest")
    off = values - around
    reach = _WINSOR * 1.4826 * float(np.median(np.abs(off)))
    result: FloatArray = around + np.clip(off, -reach, reach)
    return result


def choose_neighbours(times: FloatArray, residuals: FloatArray, offered: list[Neighbours], n_folds: int = 4) -> int:
    """The number of neighbours whose curve tells left-out residuals best; a simpler one (earlier in `offered`) unless
    the gain is above 1 %. A long series is judged by pieces from all of its time."""
    parts = [_errors_unseen(times[piece], residuals[piece], offered, n_folds) for piece in _pieces(times)]
    errors = np.abs(np.concatenate(parts, axis=1)).mean(axis=1)  # (offered,)
    best = 0
    for index, error in enumerate(errors):
        if error < 0.99 * errors[best]:
            best = index
    return offered[best]


def _pieces(times: FloatArray) -> list[NDArray[np.intp]]:
    """Rows of neighbouring times: all of them in one piece, or some pieces that lie evenly spread."""
    by_time = np.argsort(times, kind="stable")
    if len(times) <= _PIECES * _PIECE:
        return [by_time]
    starts = np.linspace(0, len(times) - _PIECE, _PIECES).astype(int)
    return [by_time[start : start + _PIECE] for start in starts]


def _errors_unseen(
    times: FloatArray, residuals: FloatArray, offered: list[Neighbours], n_folds: int
) -> FloatArray:
    """What curves that did not see a residual are off by, `(offered, n)`."""
    folds = np.argsort(np.argsort(times, kind="stable")) % n_folds
    errors = np.empty((len(offered), len(residuals)))
    for fold in range(n_folds):
        seen, unseen = folds != fold, folds == fold
        curve = DriftCurve(times[seen], residuals[seen], LEVELS)  # its stretches serve every number of neighbours
        for row, neighbours in enumerate(offered):
            errors[row, unseen] = residuals[unseen] - curve.with_neighbours(neighbours)(times[unseen])
    return errors
