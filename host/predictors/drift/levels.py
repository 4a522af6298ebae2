"""How a device's speed changed while it measured: stretches of one level, and a slow curve inside each.

A throttled clock, another program or a new session change every latency by the same factor from one record to the next;
a warming chip changes it slowly. The first is found as change points (PELT, Killick et al., 2012), the second is a
running median that does not look across them.

Shapes: `n` values in time, `q` times asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import median_filter

from ...spaces.features import FloatArray

LEVELS = -1
"""In place of a number of neighbours: one level per stretch, no curve inside it."""

_SHORTEST = 5  # values; a shorter burst is noise, not a level
_PENALTY = 6.0  # times variance times log n: three standard errors for a stretch of ten in two hundred
_LEAST_NOISE = 1e-6  # well above what rounding makes of equal values
_WINDOW = 9
_WINSOR = 3.0

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
        self._starts = [0] if neighbours == 0 else change_points(self._values)
        ends = [*self._starts[1:], len(self._values)]
        self._parts = list(zip(self._starts, ends, strict=True))
        self._neighbours = neighbours
        # A time between two stretches belongs to the nearer one.
        self._borders = np.array([self._times[start - 1 : start + 1].mean() for start in self._starts[1:]])

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        return tuple(
            Stretch(start, stop, float(np.exp(np.median(self._values[start:stop])))) for start, stop in self._parts
        )

    def __call__(self, times: FloatArray) -> FloatArray:
        """Log factors `(q,)` at `times` `(q,)`."""
        which = np.searchsorted(self._borders, times, side="right")  # (q,)
        factors = np.zeros(len(times))
        for number, (start, stop) in enumerate(self._parts):
            here, size = which == number, stop - start if self._neighbours == LEVELS else self._neighbours
            if size:
                part = slice(start, stop)
                factors[here] = running_median(self._times[part], self._values[part], times[here], size)
        return factors


def running_median(times: FloatArray, values: FloatArray, at: FloatArray, neighbours: int) -> FloatArray:
    """`(q,)`: at each time, the median of the `neighbours` values measured around it, half of them on either side."""
    by_time = np.argsort(times, kind="stable")
    size = min(neighbours, len(values))
    medians = np.median(sliding_window_view(values[by_time], size), axis=1)  # (n - size + 1,)
    starts = np.searchsorted(times[by_time], at) - size // 2
    result: FloatArray = medians[np.clip(starts, 0, len(medians) - 1)]
    return result


def change_points(values: FloatArray) -> list[int]:
    """Where stretches start, 0 first: the partition with the least squared error and a price on every stretch.

    Single outliers are pulled towards their surroundings first, so that they do not pass for a level.
    """
    from ruptures import KernelCPD  # slow to import

    n = len(values)
    if n < 2 * _SHORTEST:
        return [0]
    values = _winsorised(values)
    noise = 1.4826 * float(np.median(np.abs(np.diff(values)))) / np.sqrt(2)
    price = _PENALTY * max(noise, _LEAST_NOISE) ** 2 * np.log(n)
    # With a linear kernel its cost is the squared error: the exact optimum, as PELT finds it.
    search = KernelCPD(kernel="linear", min_size=_SHORTEST)
    ends: list[int] = search.fit(values[:, None]).predict(pen=float(price))  # n is the last
    return [0, *map(int, ends[:-1])]


def _winsorised(values: FloatArray) -> FloatArray:
    around = median_filter(values, size=_WINDOW, mode="nearest")
    off = values - around
    reach = _WINSOR * 1.4826 * float(np.median(np.abs(off)))
    result: FloatArray = around + np.clip(off, -reach, reach)
    return result


def choose_neighbours(times: FloatArray, residuals: FloatArray, offered: list[Neighbours], n_folds: int = 4) -> int:
    """The number of neighbours whose curve tells left-out residuals best; a simpler one (earlier in `offered`) unless
    the gain is above 1 %."""
    folds = np.argsort(np.argsort(times, kind="stable")) % n_folds
    best, best_error = offered[0], np.inf
    for neighbours in offered:
        errors = np.empty(len(residuals))
        for fold in range(n_folds):
            seen, unseen = folds != fold, folds == fold
            errors[unseen] = residuals[unseen] - DriftCurve(times[seen], residuals[seen], neighbours)(times[unseen])
        error = float(np.abs(errors).mean())
        if error < 0.99 * best_error:
            best, best_error = neighbours, error
    return best
