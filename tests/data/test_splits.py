"""Splits are drawn by content, stay what they are, and share no picture."""

import numpy as np
import pytest
from edgewright.data.splits import check_splits, draw_splits, keep_apart, places_of
from edgewright.errors import InputError

NONE = np.full(1000, -1, np.int8)


def contents(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 32), dtype=np.uint8)


def one_label(n):
    return np.ones((n, 1), bool)


def test_shares_are_about_eight_to_one_to_one():
    twins = np.arange(1000)
    split = draw_splits(NONE, twins, places_of(contents(1000), twins), one_label(1000))
    counts = np.bincount(split)
    assert counts[0] > 750 and 70 < counts[1] < 130 and 70 < counts[2] < 130


def test_groups_of_twins_are_drawn_as_single_pictures_are():
    twins = np.repeat(np.arange(250), 4)
    split = draw_splits(NONE, twins, places_of(contents(1000), twins), one_label(1000))
    assert all(len(set(split[twins == group])) == 1 for group in range(250))
    assert 60 < (split == 2).sum() < 160


def test_a_place_does_not_depend_on_the_other_pictures():
    all_, twins = contents(1000), np.arange(1000)
    assert (places_of(all_, twins)[:300] == places_of(all_[:300], twins[:300])).all()


def test_a_split_that_got_nothing_of_a_label_gets_its_last_picture():
    places, has = np.linspace(0, 0.5, 30), np.zeros((30, 2), bool)
    has[:10, 0], has[10:, 1] = True, True
    split = draw_splits(NONE[:30], np.arange(30), places, has)
    assert split[:10].tolist() == [0] * 8 + [1, 2] and split[10:].tolist() == [0] * 18 + [1, 2]
    split = draw_splits(NONE[:30], np.arange(30), 1 - places / 5, has)
    assert split[:10].tolist().count(0) == 1 and split[10:].tolist().count(0) == 1


def test_twins_move_together():
    twins = np.repeat(np.arange(6), 2)
    split = draw_splits(NONE[:12], twins, np.repeat(np.linspace(0, 0.5, 6), 2), one_label(12))
    assert split.tolist() == [0] * 8 + [1, 1, 2, 2]


def test_given_splits_are_not_drawn_from():
    given = np.array([0] * 20 + [2] * 10, np.int8)
    split = draw_splits(given, np.arange(30), np.linspace(0, 0.99, 30), one_label(30))
    assert (split[20:] == 2).all() and (split[:20] != 2).all() and (split[:20] == 1).sum() == 1
    all_given = np.arange(30, dtype=np.int8) % 3
    assert (draw_splits(all_given, np.arange(30), np.zeros(30), one_label(30)) == all_given).all()


def test_labels_of_one_picture_only_cannot_be_split():
    twins = np.array([0] * 12 + list(range(1, 13)))
    has = np.zeros((24, 2), bool)
    has[:12, 0], has[12:, 1] = True, True
    split = draw_splits(NONE[:24], twins, places_of(contents(24), twins), has)
    with pytest.raises(InputError, match="split of DIR has no image of 'cat'; each split needs some of each label"):
        check_splits(split, ["cat", "dog"], has, "DIR")


def test_the_twin_in_the_latest_split_stays():
    split = np.array([0, 2, 1, 0, 0, 1, 2, 2], np.int8)
    twins = np.array([0, 0, 0, 1, 1, 2, 3, 3])
    assert keep_apart(split, twins).tolist() == [1, -1, 1, -1, -1, -1, -1, -1]
    assert keep_apart(NONE[:8], twins).tolist() == [-1] * 8
