"""Schedules are functions of the step."""

import pytest
from edgewright.training.schedule import constant, cycle, one_cycle, ramp


def test_one_cycle_rises_and_falls():
    assert one_cycle(0, 100, 0.05) == pytest.approx(0.2) and one_cycle(5, 100, 0.05) == pytest.approx(1.0)
    assert one_cycle(99, 100, 0.05) < 0.001
    assert [cycle(0.05)(step, 100) for step in (0, 50)] == [one_cycle(step, 100, 0.05) for step in (0, 50)]


def test_a_ramp_ends_at_one():
    assert [ramp(step, 90, 1 / 3) for step in (0, 15, 30, 80)] == pytest.approx([0.0, 0.5, 1.0, 1.0])


def test_a_constant_stays():
    assert {constant(step, 10) for step in range(10)} == {1.0}
