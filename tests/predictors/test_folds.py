"""Equal keys lie in one fold, neighbours in different ones."""

from __future__ import annotations

import numpy as np
from edgewright.predictors.folds import N_FOLDS, folds_of


def test_what_was_measured_twice_lies_in_one_fold() -> None:
    features = np.random.default_rng(0).integers(1, 9, (40, 3))
    twice = np.concatenate([features, features[::-1]])
    folds = folds_of(twice)
    assert (folds[:40] == folds[40:][::-1]).all()
    assert set(folds.tolist()) == set(range(N_FOLDS))


def test_every_fold_covers_the_whole_time() -> None:
    times = np.random.default_rng(0).permutation(100).astype(float)
    folds = folds_of(times, 4)
    for fold in range(4):
        mine = np.sort(times[folds == fold])
        assert len(mine) == 25 and np.diff(mine).max() == 4


def test_folds_do_not_depend_on_the_order_of_the_rows() -> None:
    keys = np.random.default_rng(0).normal(size=(50, 2))
    order = np.random.default_rng(1).permutation(50)
    assert (folds_of(keys)[order] == folds_of(keys[order])).all()
