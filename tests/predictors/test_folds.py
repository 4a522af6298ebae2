"""Equal keys lie in one fold, neighbours in different ones."""

from __future__ import annotations

import numpy as np
from edgewright.predictors.folds import N_FOLDS, folds_of, groups_of, sample


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


def test_groups_are_numbered_as_their_keys_ascend() -> None:
    keys = np.random.default_rng(0).integers(0, 4, (200, 3)).astype(float)
    assert groups_of(keys).tolist() == np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1).tolist()
    assert groups_of(np.array([3.0, 1.0, 3.0])).tolist() == [1, 0, 1]
    assert groups_of(np.empty((0, 3))).tolist() == []


def test_a_sample_stands_for_all() -> None:
    assert sample(7, 10).tolist() == list(range(7))
    drawn = sample(75 * 400, 400)
    assert len(set(drawn.tolist())) == 400 and drawn.tolist() == sample(75 * 400, 400).tolist()
    assert len(set((drawn % 75).tolist())) > 70, "of a campaign that repeats itself every 75 records"
