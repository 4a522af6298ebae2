"""Which rows are predicted by a fit that has not seen them: one scheme for everything that is judged or chosen."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

N_FOLDS = 5


def folds_of(keys: ArrayLike, n_folds: int = N_FOLDS) -> NDArray[np.intp]:
    """The fold `(n,)` of each row, from its key `(n,)` or `(n, k)`: equal keys share a fold, neighbours do not.

    With recorded features as keys, what was measured twice lies in one fold. With times as keys, every fold covers the
    whole time.
    """
    _, group = np.unique(np.asarray(keys), axis=0, return_inverse=True)
    return np.asarray(group.reshape(-1) % n_folds, np.intp)
