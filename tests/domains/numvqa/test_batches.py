"""NumVQA's batches: the same step always gives the same batch."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from edgewright.assembler.joint.recipe_files import load_recipe
from edgewright.domains.numvqa import domain as numvqa
from edgewright.domains.numvqa.batches import NumVqaSource, augmented_questions
from edgewright.domains.numvqa.objective import NumVqaObjective
from edgewright.domains.numvqa.settings import NumVqaSettings
from edgewright.training.objective import Sampling

SAMPLING = Sampling(batch_size=8, n_augmented_tasks=20)


CPU = torch.device("cpu")


def batch_of(source, *step):
    return source.draw(*step).to(CPU, torch.float32)


def source(domain, sampling=SAMPLING, settings=NumVqaSettings()):  # noqa: B008
    return NumVqaSource(sampling, settings, domain.digits.train)


def test_a_batch_is_a_function_of_seed_stage_and_step(domain):
    torch.manual_seed(1)
    a = batch_of(source(domain), "joint", 5)
    torch.manual_seed(2)
    np.random.seed(2)
    b = batch_of(source(domain), "joint", 5)
    other = batch_of(source(domain, replace(SAMPLING, seed=1)), "joint", 5)
    assert torch.equal(a.images, b.images) and torch.equal(a.limits, b.limits)
    assert not torch.equal(a.images, other.images)


def test_a_part_of_a_batch_is_that_part_of_the_whole(domain):
    whole, part = (batch_of(source(domain), "joint", 5, each) for each in (slice(None), slice(2, 6)))
    for name in ("images", "tasks", "limits", "answers", "digit_counts"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[2:6]), name


def test_a_batch_mixes_tasks_limits_and_answers(domain):
    batch = batch_of(source(domain, replace(SAMPLING, batch_size=256)), "joint", 0)
    assert len({tuple(row) for row in batch.tasks.tolist()}) > 40
    assert batch.limits.min() < 0.05 and batch.limits.max() > 0.5
    assert 0.4 < batch.answers.float().mean() < 0.6
    assert batch.digit_counts.sum(1).unique().tolist() == [4]


def test_the_batches_of_a_recipe_are_the_same_for_good(domain):
    """A supernet is trained again only on the very batches that it was trained on."""
    recipe = load_recipe("numvqa-resnet")
    drawn = NumVqaObjective(domain, replace(recipe.domain.settings, augmentation=False)).source(recipe.sampling)
    hasher = hashlib.sha256()
    for stage in ("pretrain", "joint", "calibrate", "tune"):
        batch = batch_of(drawn, stage, 7)
        for whole in (batch.images * 255, batch.tasks, batch.answers, batch.digit_counts):
            hasher.update(whole.round().to(torch.uint8).numpy().tobytes())
    assert hasher.hexdigest() == "73e48c3ca4066517a73a0f874fce68136cc1144cff407ad28d6181dee148141a"
    assert batch.limits[:4].tolist() == pytest.approx([0.174541, 0.344626, 0.221363, 0.099912], abs=1e-6)


def test_even_counts_are_drawn_for_their_share(domain):
    """ "only four" of one digit is rare among digits as they fall, and as frequent as any other count drawn evenly."""
    task = numvqa.SPACE.parse("has 0")
    fours = []
    for share in (0.0, 1.0):
        sampling = replace(SAMPLING, batch_size=512, augmented_share=0.0)
        drawn = NumVqaSource(sampling, NumVqaSettings(share, augmentation=False), domain.digits.train, [task])
        fours.append((drawn.draw("joint", 0).digit_counts[:, 0] == 4).float().mean())
    assert fours[0] < 0.02 < 0.05 < fours[1]


def test_augmented_questions_mean_something_else_than_any_task():
    meanings = {(q.members, q.counts) for q in (numvqa.Question.of(task.attributes) for task in numvqa.TASKS)}
    extra = augmented_questions(200, np.random.default_rng(0))
    assert len(extra) == 200
    assert not meanings & {(q.members, q.counts) for q in extra}


def test_held_out_tasks_are_never_drawn(domain):
    pool = source(domain).pool
    held_out = {tuple(numvqa.SPACE.encode(task.attributes)) for task in numvqa.HELD_OUT}
    assert not held_out & {tuple(row) for row in pool.encoding}
