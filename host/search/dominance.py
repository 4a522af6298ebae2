"""Which of many alternatives nothing else beats, in several objectives at once.

Shapes: `n` alternatives, `k` objectives, all of them minimised.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

_AT_ONCE = 1 << 22  # comparisons in memory


def non_dominated(objectives: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The Pareto front of `(n, k)`, as a mask `(n,)`.

    One row dominates another that it nowhere exceeds and somewhere falls below; equal rows do not dominate each other.
    Objectives may be infinite.

    Raises `InputError` for another shape, and for objectives that are not numbers.
    """
    if objectives.ndim != 2:
        raise InputError(f"objectives must have shape (n, k), got {objectives.shape}")
    if np.isnan(objectives).any():
        raise InputError("objectives must be numbers; leave out the alternatives that have none")
    step = max(1, _AT_ONCE // max(1, objectives.size))
    parts = [~_dominated(objectives[at : at + step], objectives) for at in range(0, len(objectives), step)]
    return np.concatenate(parts) if parts else np.zeros(0, bool)


def _dominated(some: NDArray[np.float64], all_: NDArray[np.float64]) -> NDArray[np.bool_]:
    """`(m, k)` against `(n, k)` -> `(m,)`."""
    nowhere_worse = np.all(all_[None] <= some[:, None], axis=-1)  # (m, n)
    somewhere_better = np.any(all_[None] < some[:, None], axis=-1)  # (m, n)
    dominated: NDArray[np.bool_] = np.any(nowhere_worse & somewhere_better, axis=1)
    return dominated
