"""Errors in percent, and the noise floor beside them."""

from __future__ import annotations

import numpy as np
import pytest
from edgewright.predictors.judging.metrics import errors_of, mape, noise_floor, percent_off, repeat_differences


def test_errors_are_relative_to_what_was_measured() -> None:
    true, predicted = np.array([1.0, 2.0, 4.0, 10.0]), np.array([1.0, 1.92, 4.36, 5.0])
    assert percent_off(true, predicted) == pytest.approx([0, 4, 9, 50])
    found = errors_of(true, predicted)
    assert found.mape == mape(true, predicted) == pytest.approx(15.75) and found.accuracy == pytest.approx(84.25)
    assert (found.within_5, found.within_10) == (50, 75)
    assert found.spearman == pytest.approx(1.0)


def test_what_does_not_vary_has_no_rank() -> None:
    same, rising = np.full(5, 2.0), np.arange(1.0, 6.0)
    assert errors_of(same, rising).spearman is None and errors_of(rising, same).spearman is None


def test_a_repeat_is_compared_with_the_measurement_before_it() -> None:
    measured = [("a", 10.0), ("b", 1.0), ("a", 11.0), ("c", 5.0), ("a", 9.9)]
    assert repeat_differences(measured) == pytest.approx([10.0, 10.0])
    assert noise_floor(measured) == pytest.approx(10.0)
    assert noise_floor(measured[:2]) is None
