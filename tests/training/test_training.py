"""A very small training run, killed and resumed; what it learns is not the point here, that it is the same run is."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from edgewright.host.assembler.archive import TrainedSupernet
from edgewright.host.errors import InputError
from edgewright.host.tasks import numvqa
from edgewright.host.tasks.digits import load_digits
from edgewright.host.training.augment import augment_digits
from edgewright.host.training.batches import BatchSource, augmented_questions
from edgewright.host.training.recipe import RECIPES, Backbone, Recipe, find_recipe
from edgewright.host.training.schedule import one_cycle, ramp
from edgewright.host.training.train import train

TINY = Recipe(
    name="tiny",
    backbone=Backbone(
        "resnet18", {"in_chans": 1, "num_classes": 2, "channels": [4, 4, 8, 8], "zero_init_last": False}
    ),
    batch_size=8,
    pretrain_steps=3,
    joint_steps=4,
    calibrate_steps=2,
    n_augmented_tasks=20,
    precision="float32",
    checkpoint_every_s=0.0,
    evaluate_every=100,
)


@pytest.fixture(scope="module")
def digits():
    return load_digits()


class Killed(Exception):
    pass


def kill_at(stage, step):
    def on_progress(at):
        if (at.stage, at.step) == (stage, step):
            raise Killed

    return on_progress


def weights(trained):
    return {**trained.supernet.backbone.state_dict(), **trained.assembler.state_dict()}


@pytest.mark.parametrize("kill", [("pretrain", 2), ("joint", 3)])
def test_a_killed_run_resumes_to_the_very_same_weights(digits, tmp_path, kill):
    whole = train(TINY, tmp_path / "whole", digits)
    with pytest.raises(Killed):
        train(TINY, tmp_path / "cut", digits, on_progress=kill_at(*kill))
    cut = train(TINY, tmp_path / "cut", digits, resume=True)
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(cut)[name]), name
    with open(tmp_path / "cut" / "metrics.csv") as file:
        rows = [(row["stage"], row["step"]) for row in csv.DictReader(file)]
    assert rows == [("pretrain", "3"), ("joint", "4")]


def test_what_is_saved_is_what_is_loaded(digits, tmp_path):
    trained = train(TINY, tmp_path / "run", digits)
    loaded = TrainedSupernet.load(tmp_path / "run")
    assert loaded.digest == trained.digest and loaded.image_shape == (1, 56, 56)
    x = torch.rand(2, 1, 56, 56, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded.supernet(x), trained.supernet(x))
    assert (tmp_path / "run" / "curve.html").stat().st_size > 1e6
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_folders_are_not_trampled_on(digits, tmp_path):
    with pytest.raises(InputError, match="no checkpoint in .* to resume"):
        train(TINY, tmp_path / "new", digits, resume=True)
    with pytest.raises(Killed):
        train(TINY, tmp_path / "run", digits, on_progress=kill_at("pretrain", 2))
    with pytest.raises(InputError, match="holds an unfinished run; continue it with --resume"):
        train(TINY, tmp_path / "run", digits)
    train(TINY, tmp_path / "run", digits, resume=True)
    with pytest.raises(InputError, match="already holds a trained supernet"):
        train(TINY, tmp_path / "run", digits)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04cut", b"cos\nsystem\n(S'true'\ntR."])
def test_a_corrupt_or_hostile_checkpoint_is_refused(digits, tmp_path, content):
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(InputError, match="is not a training checkpoint"):
        train(TINY, tmp_path, digits, resume=True)


def test_a_batch_is_a_function_of_seed_stage_and_step(digits):
    torch.manual_seed(1)
    a = BatchSource(TINY, digits.train).draw("joint", 5)
    torch.manual_seed(2)
    np.random.seed(2)
    b = BatchSource(TINY, digits.train).draw("joint", 5)
    other = BatchSource(replace(TINY, seed=1), digits.train).draw("joint", 5)
    assert torch.equal(a.images, b.images) and torch.equal(a.limits, b.limits)
    assert not torch.equal(a.images, other.images)


def test_a_batch_mixes_tasks_limits_and_answers(digits):
    batch = BatchSource(replace(TINY, batch_size=256), digits.train).draw("joint", 0)
    assert len({tuple(row) for row in batch.tasks.tolist()}) > 40
    assert batch.limits.min() < 0.05 and batch.limits.max() > 0.5
    assert 0.4 < batch.answers.float().mean() < 0.6
    assert batch.digit_counts.sum(1).unique().tolist() == [4]


def test_augmented_questions_mean_something_else_than_any_task():
    meanings = {(q.members, q.counts) for q in (numvqa.Question.of(task.attributes) for task in numvqa.TASKS)}
    extra = augmented_questions(200, np.random.default_rng(0))
    assert len(extra) == 200
    assert not meanings & {(q.members, q.counts) for q in extra}


def test_held_out_tasks_are_never_drawn(digits):
    pool = BatchSource(TINY, digits.train).pool
    held_out = {tuple(numvqa.SPACE.encode(task.attributes)) for task in numvqa.HELD_OUT}
    assert not held_out & {tuple(row) for row in pool.encoding}


def test_augmented_digits_stay_in_their_quarter_and_in_range(digits):
    image = torch.zeros(4, 1, 56, 56)
    image[:, :, 8:20, 8:20] = 1.0
    varied = augment_digits(image, torch.Generator().manual_seed(0))
    assert varied[:, :, 28:].abs().max() == 0 and varied[:, :, :, 28:].abs().max() == 0
    assert 0 <= varied.min() and varied.max() <= 1.0 and not torch.equal(varied, image)


def test_schedules():
    assert one_cycle(0, 100, 0.05) == pytest.approx(0.2) and one_cycle(5, 100, 0.05) == pytest.approx(1.0)
    assert one_cycle(99, 100, 0.05) < 0.001
    assert [ramp(step, 90, 1 / 3) for step in (0, 15, 30, 80)] == pytest.approx([0.0, 0.5, 1.0, 1.0])


def test_recipes_survive_json_and_unknown_ones_are_named():
    for recipe in RECIPES.values():
        data = json.loads(json.dumps(recipe.to_json()))
        assert Recipe.from_json(data) == recipe
    with pytest.raises(InputError, match="unknown recipe 'x'; there are: numvqa-resnet"):
        find_recipe("x")
