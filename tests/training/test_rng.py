"""Draws that are functions of seed, stage and step, for any stage."""

import numpy as np
import pytest
import torch
from edgewright.training.rng import draw_limits, draw_questions, stage_number, step_rng, step_seed


def test_the_numbers_of_the_first_stages_are_what_they_always_were():
    """Supernets were trained on batches that depend on them."""
    assert [stage_number(name) for name in ("pretrain", "joint", "calibrate", "tune")] == [0, 1, 2, 3]


def test_any_other_stage_has_a_number_of_its_own_for_good():
    assert stage_number("search") == 10160804123345472
    assert len({stage_number(name) for name in ("search", "Search", "search ", "grow", "")}) == 5
    assert min(stage_number(f"stage {n}") for n in range(1000)) > 3


@pytest.mark.parametrize("stage", ["joint", "search"])
def test_a_step_has_the_same_generators_whatever_was_drawn_before(stage):
    drawn = []
    for _ in range(2):
        torch.rand(3), np.random.rand(3)
        rng, generator = step_rng(5, stage, 7)
        drawn.append((rng.random(4).tolist(), torch.rand(4, generator=generator).tolist()))
    assert drawn[0] == drawn[1]
    others = [step_rng(*other)[0].random(4).tolist() for other in ((6, stage, 7), (5, "tune", 7), (5, stage, 8))]
    assert drawn[0][0] not in others


def test_the_global_generators_seed_is_another_one_for_every_step():
    seeds = {step_seed(seed, stage, step) for seed in (0, 1) for stage in ("a", "joint") for step in range(50)}
    assert len(seeds) == 200 and max(seeds) < 2**63
    torch.manual_seed(max(seeds))


def test_limits_are_of_every_magnitude():
    limits = draw_limits(np.random.default_rng(0), 4000, 0.01)
    assert 0.01 <= limits.min() and limits.max() <= 1
    assert (limits < 0.1).mean() == pytest.approx(0.5, abs=0.03)


def test_questions_are_tasks_but_for_a_share_of_augmentation():
    found = draw_questions(np.random.default_rng(0), 4000, 5, 9, 0.25)
    assert (found >= 5).mean() == pytest.approx(0.25, abs=0.03) and set(found) == set(range(9))
    assert draw_questions(np.random.default_rng(0), 100, 5, 5, 0.25).max() < 5
