"""Which rows are predicted by a fit that has not seen them: one scheme for everything that is judged or chosen."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

N_FOLDS = 5

MOST = 4096
"""Rows that choices are made on. A few dozen weights are known from them far better than from one measurement."""


def folds_of(keys: ArrayLike, n_folds: int = N_FOLDS) -> NDArray[np.intp]:
    """The fold `(n,)` of each row, from its key `(n,)` or `(n, k)`: equal keys share a fold, neighbours do not.

    With recorded features as keys, what was measured twice lies in one fold. With times as keys, every fold covers the
    whole time.
    """
    return groups_of(keys) % n_folds


def groups_of(keys: ArrayLike) -> NDArray[np.intp]:
    """The number `(n,)` of each row's key `(n,)` or `(n, k)` among the different ones in ascending order."""
    array = np.asarray(keys)
    if not array.size:
        return np.zeros(len(array), np.intp)
    columns = array.reshape(len(array), -1)  # (n, k)
    order = np.lexsort(columns.T[::-1])  # far faster than sorting whole rows, as np.unique does
    ordered = columns[order]
    is_new = (ordered[1:] != ordered[:-1]).any(axis=1)
    groups = np.empty(len(array), np.intp)
    groups[order] = np.concatenate([[0], np.cumsum(is_new)])
    return groups


def sample(n: int, most: int = MOST) -> NDArray[np.intp]:
    """Rows that stand for all `n`, ascending: all where there are few, else `most`, always the same.

    They are drawn, since at a regular distance a plan that repeats itself shows a few of its architectures alone.
    """
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, most, replace=False))
