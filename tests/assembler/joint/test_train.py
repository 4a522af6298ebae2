"""A very small training run, killed and resumed; what it learns is not the point here, that it is the same run is."""

import csv
import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from edgewright.assembler.archive import TrainedSupernet
from edgewright.assembler.assembler import Assembler
from edgewright.assembler.joint.recipe import Recipe
from edgewright.assembler.joint.recipe_files import load_recipe
from edgewright.assembler.joint.stages import JointLoss, JointNoise
from edgewright.assembler.joint.train import _new_supernet, train
from edgewright.domains.numvqa import domain as numvqa
from edgewright.domains.numvqa.augment import Variation, vary_digits
from edgewright.domains.numvqa.batches import NumVqaSource, augmented_questions
from edgewright.domains.numvqa.objective import NumVqaObjective
from edgewright.errors import InputError
from edgewright.supernet.backbones import Backbone
from edgewright.training import loop as run
from edgewright.training.schedule import one_cycle, ramp
from edgewright.training.workers import Workers

TINY = Recipe(
    name="tiny",
    backbone=Backbone(
        "resnet18", {"in_chans": 1, "num_classes": 2, "channels": [4, 4, 8, 8], "zero_init_last": False}
    ),
    batch_size=8,
    pretrain_steps=3,
    joint_steps=4,
    tune_steps=2,
    calibrate_steps=2,
    n_augmented_tasks=20,
    precision="float32",
    checkpoint_every_s=0.0,
    evaluate_every=100,
)


class Killed(Exception):
    pass


def kill_at(stage, step):
    def on_progress(at):
        if (at.stage, at.step) == (stage, step):
            raise Killed

    return on_progress


def weights(trained):
    return {**trained.supernet.backbone.state_dict(), **trained.assembler.state_dict()}


@pytest.mark.parametrize("kill", [("pretrain", 2), ("joint", 3), ("tune", 1)])
def test_a_killed_run_resumes_to_the_very_same_weights(domain, tmp_path, kill):
    whole = train(TINY, tmp_path / "whole", domain)
    with pytest.raises(Killed):
        train(TINY, tmp_path / "cut", domain, on_progress=kill_at(*kill))
    cut = train(TINY, tmp_path / "cut", domain, resume=True)
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(cut)[name]), name
    with open(tmp_path / "cut" / "metrics.csv") as file:
        rows = [(row["stage"], row["step"]) for row in csv.DictReader(file)]
    assert rows == [("pretrain", "3"), ("joint", "4"), ("tune", "2")]


def test_the_tuning_stage_sees_gates_that_keep_their_limit(domain, tmp_path, monkeypatch):
    seen = []
    forward = JointLoss.forward

    def note(self, batch, noise, gate_weight):
        seen.append((self.recipe.keep_limits, gate_weight))
        return forward(self, batch, noise, gate_weight)

    monkeypatch.setattr(JointLoss, "forward", note)
    train(TINY, tmp_path / "run", domain)
    kept, weight = zip(*seen, strict=True)
    assert kept == (False,) * TINY.joint_steps + (True,) * TINY.tune_steps
    assert weight[-2:] == (TINY.gate_loss_weight,) * 2


def test_what_is_saved_is_what_is_loaded(domain, tmp_path):
    trained = train(TINY, tmp_path / "run", domain)
    loaded = TrainedSupernet.load(tmp_path / "run")
    assert loaded.digest == trained.digest and loaded.image_shape == (1, 56, 56)
    x = torch.rand(2, 1, 56, 56, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded.supernet(x), trained.supernet(x))
    assert (tmp_path / "run" / "curve.html").stat().st_size > 1e6
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_folders_are_not_trampled_on(domain, tmp_path):
    with pytest.raises(InputError, match="no checkpoint in .* to resume"):
        train(TINY, tmp_path / "new", domain, resume=True)
    with pytest.raises(Killed):
        train(TINY, tmp_path / "run", domain, on_progress=kill_at("pretrain", 2))
    with pytest.raises(InputError, match="holds an unfinished run; continue it with --resume"):
        train(TINY, tmp_path / "run", domain)
    train(TINY, tmp_path / "run", domain, resume=True)
    with pytest.raises(InputError, match="already holds a trained supernet"):
        train(TINY, tmp_path / "run", domain)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04cut", b"cos\nsystem\n(S'true'\ntR."])
def test_a_corrupt_or_hostile_checkpoint_is_refused(domain, tmp_path, content):
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(InputError, match="is not a training checkpoint"):
        train(TINY, tmp_path, domain, resume=True)


def test_a_batch_is_a_function_of_seed_stage_and_step(domain):
    torch.manual_seed(1)
    a = NumVqaSource(TINY, domain.digits.train).draw("joint", 5)
    torch.manual_seed(2)
    np.random.seed(2)
    b = NumVqaSource(TINY, domain.digits.train).draw("joint", 5)
    other = NumVqaSource(replace(TINY, seed=1), domain.digits.train).draw("joint", 5)
    assert torch.equal(a.images, b.images) and torch.equal(a.limits, b.limits)
    assert not torch.equal(a.images, other.images)


def test_a_batch_mixes_tasks_limits_and_answers(domain):
    batch = NumVqaSource(replace(TINY, batch_size=256), domain.digits.train).draw("joint", 0)
    assert len({tuple(row) for row in batch.tasks.tolist()}) > 40
    assert batch.limits.min() < 0.05 and batch.limits.max() > 0.5
    assert 0.4 < batch.answers.float().mean() < 0.6
    assert batch.digit_counts.sum(1).unique().tolist() == [4]


def test_the_batches_of_a_recipe_are_the_same_for_good(domain):
    """A supernet is trained again only on the very batches that it was trained on."""
    recipe = replace(load_recipe("numvqa-resnet"), digit_augmentation=False)
    source = NumVqaObjective(domain).source(recipe)
    hasher = hashlib.sha256()
    for stage in ("pretrain", "joint", "calibrate", "tune"):
        batch = source.draw(stage, 7)
        for whole in (batch.images * 255, batch.tasks, batch.answers, batch.digit_counts):
            hasher.update(whole.round().to(torch.uint8).numpy().tobytes())
    assert hasher.hexdigest() == "73e48c3ca4066517a73a0f874fce68136cc1144cff407ad28d6181dee148141a"
    assert batch.limits[:4].tolist() == pytest.approx([0.174541, 0.344626, 0.221363, 0.099912], abs=1e-6)


def test_augmented_questions_mean_something_else_than_any_task():
    meanings = {(q.members, q.counts) for q in (numvqa.Question.of(task.attributes) for task in numvqa.TASKS)}
    extra = augmented_questions(200, np.random.default_rng(0))
    assert len(extra) == 200
    assert not meanings & {(q.members, q.counts) for q in extra}


def test_held_out_tasks_are_never_drawn(domain):
    pool = NumVqaSource(TINY, domain.digits.train).pool
    held_out = {tuple(numvqa.SPACE.encode(task.attributes)) for task in numvqa.HELD_OUT}
    assert not held_out & {tuple(row) for row in pool.encoding}


def test_augmented_digits_stay_in_their_quarter_and_in_range():
    image = torch.zeros(4, 1, 56, 56)
    image[:, :, 8:20, 8:20] = 1.0
    varied = vary_digits(image, Variation.draw(4, torch.Generator().manual_seed(0)))
    assert varied[:, :, 28:].abs().max() == 0 and varied[:, :, :, 28:].abs().max() == 0
    assert 0 <= varied.min() and varied.max() <= 1.0 and not torch.equal(varied, image)


def test_schedules():
    assert one_cycle(0, 100, 0.05) == pytest.approx(0.2) and one_cycle(5, 100, 0.05) == pytest.approx(1.0)
    assert one_cycle(99, 100, 0.05) < 0.001
    assert [ramp(step, 90, 1 / 3) for step in (0, 15, 30, 80)] == pytest.approx([0.0, 0.5, 1.0, 1.0])


def test_a_run_is_watched_on_validation_images(domain, tmp_path):
    asked = set()

    class Noted(numvqa.NumVqa):
        def examples(self, task, split, n, rng):
            asked.add((task, split))
            return super().examples(task, split, n, rng)

    train(replace(TINY, evaluate_every=2), tmp_path, Noted(domain.digits))
    assert asked == {(task, "validation") for task in numvqa.TRAINED}


class Rated:
    """In place of the validation: scores that are known."""

    def __init__(self, *scores):
        self.scores = list(scores)
        self.seen = []

    def __call__(self, trained, objective, limit, seed):
        self.seen.append({name: tensor.clone() for name, tensor in weights(trained).items()})
        return self.scores[len(self.seen) - 1]


def test_the_best_evaluation_is_delivered_and_patience_ends(domain, tmp_path, monkeypatch):
    rated = Rated(0.5, 0.9, 0.8, 0.7)
    monkeypatch.setattr(run, "validation_score", rated)
    patient = replace(TINY, joint_steps=40, evaluate_every=2, patience=2, calibrate_steps=0)
    trained = train(patient, tmp_path, domain)
    assert len(rated.seen) == 4 and trained.facts["best_step"] == 4
    for name, tensor in weights(trained).items():
        assert torch.equal(tensor, rated.seen[1][name]), name


def test_patience_survives_a_kill(domain, tmp_path, monkeypatch):
    patient = replace(TINY, joint_steps=40, evaluate_every=2, patience=2, calibrate_steps=1)
    monkeypatch.setattr(run, "validation_score", Rated(0.5, 0.9, 0.8))
    with pytest.raises(Killed):
        train(patient, tmp_path, domain, on_progress=kill_at("joint", 7))
    rated = Rated(0.7)
    monkeypatch.setattr(run, "validation_score", rated)
    assert train(patient, tmp_path, domain, resume=True).facts["best_step"] == 4
    assert len(rated.seen) == 1, "the second evaluation in a row without a better one was the last"


def test_without_pretraining_the_backbone_starts_at_random(domain, tmp_path):
    trained = train(replace(TINY, pretrain_steps=0), tmp_path, domain)
    assert trained.facts["recipe"]["pretrain_steps"] == 0
    assert "pretrain" not in (tmp_path / "metrics.csv").read_text()


def test_gates_that_keep_their_limit_are_what_is_trained(domain):
    """At a limit of 40 % the discrete half of the samples sees no more than is deployed."""
    supernet = _new_supernet(TINY, Workers())
    assembler = Assembler(numvqa.SPACE, supernet.space)
    batch = replace(NumVqaSource(TINY, domain.digits.train).draw("joint", 0), limits=torch.full((8,), 0.4))
    noise = JointNoise(torch.ones(8, 1, dtype=torch.bool))
    seen = []
    supernet.register_forward_pre_hook(lambda _, args: seen.append(args[1]))
    for kept in (True, False):
        JointLoss(supernet, assembler, NumVqaObjective(domain), replace(TINY, keep_limits=kept))(batch, noise, 1.0)
    assert seen[0].mean(1).max() <= 0.4 < seen[1].mean(1).max(), "as assembled, about half of the modules are open"
