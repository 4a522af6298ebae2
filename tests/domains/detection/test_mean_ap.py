"""How detections are judged: mean average precision at an overlap of one half."""

import numpy as np
import pytest
from edgewright.domains.detection.boxes import Detections
from edgewright.domains.detection.mean_ap import Truth, mean_ap

LEFT, RIGHT, BELOW = (0, 0, 10, 10), (20, 0, 30, 10), (0, 20, 10, 30)
CAR, DOG = 0, 1


def truth(*rows):
    """One image's objects as (box, category) or (box, category, ignored)."""
    boxes, categories, ignored = zip(*[(*row, False)[:3] for row in rows], strict=True) if rows else ((), (), ())
    return Truth(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(categories, np.int64), np.array(ignored, bool)
    )  # fmt: skip


def found(*rows):
    """One image's detections as (box, category, score)."""
    boxes, categories, scores = zip(*rows, strict=True) if rows else ((), (), ())
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(categories, np.int64)
    )  # fmt: skip


def test_who_finds_everything_and_nothing_else_has_one():
    truths = [truth((LEFT, CAR), (RIGHT, DOG)), truth((BELOW, CAR)), truth()]
    every = [found((LEFT, CAR, 0.9), (RIGHT, DOG, 0.3)), found((BELOW, CAR, 0.4)), found()]
    assert mean_ap(truths, every, (CAR, DOG)) == pytest.approx(1.0)


def test_who_finds_nothing_has_zero():
    assert mean_ap([truth((LEFT, CAR))], [found()], (CAR,)) == 0.0
    assert mean_ap([truth((LEFT, CAR))], [found((RIGHT, CAR, 0.9))], (CAR,)) == 0.0
    assert mean_ap([truth((LEFT, CAR))], [found((LEFT, DOG, 0.9))], (CAR, DOG)) == 0.0


def test_one_of_two_is_about_one_half():
    """Precision is 1 at the 51 of 101 recalls up to one half, and 0 beyond."""
    assert mean_ap([truth((LEFT, CAR), (RIGHT, CAR))], [found((LEFT, CAR, 0.9))], (CAR,)) == pytest.approx(51 / 101)


def test_an_overlap_of_one_half_is_enough():
    for width, expected in ((10.0, 1.0), (5.1, 1.0), (4.9, 0.0)):
        narrow = found(((0, 0, width, 10), CAR, 0.9))
        assert mean_ap([truth((LEFT, CAR))], [narrow], (CAR,)) == pytest.approx(expected)


def test_an_object_found_twice_is_found_once_and_one_is_wrong():
    truths = [truth((LEFT, CAR), (RIGHT, CAR))]
    twice = found((LEFT, CAR, 0.9), ((0, 0, 10, 9), CAR, 0.8), (RIGHT, CAR, 0.7))
    assert mean_ap(truths, [twice], (CAR,)) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_what_is_wrong_counts_more_the_surer_it_is():
    truths = [truth((LEFT, CAR))]
    below, above = (found((LEFT, CAR, 0.5), (RIGHT, CAR, sure)) for sure in (0.4, 0.6))
    assert mean_ap(truths, [below], (CAR,)) == pytest.approx(1.0)
    assert mean_ap(truths, [above], (CAR,)) == pytest.approx(0.5)


def test_in_a_region_to_ignore_nothing_is_right_or_wrong():
    crowd = truth((LEFT, CAR), ((20, 0, 40, 40), CAR, True))
    sure = found((LEFT, CAR, 0.5), ((22, 2, 30, 10), CAR, 0.9), ((30, 20, 38, 30), CAR, 0.8))
    assert mean_ap([crowd], [sure], (CAR,)) == pytest.approx(1.0)
    assert mean_ap([crowd], [found((LEFT, CAR, 0.5))], (CAR,)) == pytest.approx(1.0)  # nor is it an object to be found
    assert mean_ap([truth((LEFT, CAR))], [sure], (CAR,)) == pytest.approx(1 / 3)


def test_a_category_without_an_object_is_left_out():
    truths, detected = [truth((LEFT, CAR))], [found((LEFT, CAR, 0.9), (RIGHT, DOG, 0.9))]
    assert mean_ap(truths, detected, (CAR, DOG)) == pytest.approx(1.0)
    assert np.isnan(mean_ap([truth()], detected, (CAR, DOG)))


def test_categories_count_alike_however_many_objects_they_have():
    truths = [truth((LEFT, CAR), (RIGHT, CAR), (BELOW, DOG))]
    assert mean_ap(truths, [found((LEFT, CAR, 0.9), (RIGHT, CAR, 0.8))], (CAR, DOG)) == pytest.approx(0.5)
