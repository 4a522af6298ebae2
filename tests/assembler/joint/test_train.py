"""A very small training run, killed and resumed. It must be the same run; what it learns does not matter."""

import csv
import json
import threading
from dataclasses import replace

import pytest
import torch
from edgewright.assembler.archive import TrainedSupernet
from edgewright.assembler.joint import train as joint
from edgewright.assembler.joint.losses import JointLoss
from edgewright.assembler.joint.train import train
from edgewright.domains.detection.boxes import Grid
from edgewright.domains.detection.domain import AttrOd
from edgewright.domains.numvqa import domain as numvqa
from edgewright.errors import InputError

from tests.assembler.joint.tiny import TINY, tiny
from tests.marks import sweep


class Killed(Exception):
    pass


def kill_at(stage, step):
    def on_progress(at):
        if (at.stage, at.step) == (stage, step):
            raise Killed

    return on_progress


def weights(trained):
    return {**trained.supernet.backbone.state_dict(), **trained.assembler.state_dict()}


def killed_and_resumed(recipe, folder, domain, *kill):
    with pytest.raises(Killed):
        train(recipe, folder, domain, on_progress=kill_at(*kill))
    return train(recipe, folder, domain, resume=True)


@pytest.fixture(scope="module")
def whole(domain, tmp_path_factory):
    """The tiny recipe's run without an interruption."""
    return train(TINY, tmp_path_factory.mktemp("whole"), domain)


@pytest.mark.parametrize("kill", [("pretrain", 2), ("joint", 3), ("tune", 1), ("calibrate", 1)])
def test_a_killed_run_resumes_to_the_very_same_weights(domain, tmp_path, kill, whole):
    cut = killed_and_resumed(TINY, tmp_path, domain, *kill)
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(cut)[name]), name
    with open(tmp_path / "metrics.csv") as file:
        rows = [(row["stage"], row["step"]) for row in csv.DictReader(file)]
    assert rows == [("pretrain", "3"), ("joint", "4"), ("tune", "2")]


@pytest.mark.parametrize("kill", [sweep(("pretrain", 2)), ("joint", 3), sweep(("tune", 1)), sweep(("calibrate", 1))])
def test_batches_drawn_ahead_are_the_same_batches(domain, tmp_path, kill, whole):
    cut = killed_and_resumed(tiny(batch_workers=2), tmp_path, domain, *kill)
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(cut)[name]), name
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_a_checkpoint_of_an_earlier_version_resumes_to_the_very_same_weights(domain, tmp_path, whole):
    """Version 1 knew backbone and assembler, one optimizer, and a flat recipe."""
    with pytest.raises(Killed):
        train(TINY, tmp_path, domain, on_progress=kill_at("joint", 3))
    path = tmp_path / "checkpoint.pt"
    content = torch.load(path, weights_only=True)
    facts, since = json.loads(content["facts"]), content["hooks"]["evaluation"]["since_best"]
    recipe = facts.pop("settings")["recipe"]
    training, domain_table = recipe.pop("training"), recipe.pop("domain")
    for newer in ("max_gradient_norm", "averaging", "batch_workers"):
        del training[newer]
    flat = {
        **recipe, **training, "tasks": "numvqa", "categories": [], "mirror": False,
        "even_counts_share": domain_table["even_counts_share"], "digit_augmentation": domain_table["augmentation"],
    }  # fmt: skip
    supernet, assembler = content["modules"]["supernet"], content["modules"]["assembler"]
    torch.save({
        "facts": json.dumps({**facts, "recipe": flat, "evaluations_since": since}),
        "backbone": {name.removeprefix("backbone."): tensor for name, tensor in supernet.items()},
        "assembler": assembler, "optimizer": content["optimizers"][0], "best": None,
    }, path)  # fmt: skip
    resumed = train(TINY, tmp_path, domain, resume=True)
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(resumed)[name]), name
    assert resumed.facts["recipe"] == whole.facts["recipe"]


def test_the_recipe_of_the_checkpoint_is_the_one_that_is_resumed(domain, tmp_path, whole):
    with pytest.raises(Killed):
        train(TINY, tmp_path, domain, on_progress=kill_at("joint", 3))
    resumed = train(replace(TINY, joint_steps=400, name="other"), tmp_path, domain, resume=True)
    assert resumed.facts["recipe"] == whole.facts["recipe"] and resumed.digest == whole.digest


def test_the_tuning_stage_sees_gates_that_keep_their_limit(domain, tmp_path, monkeypatch):
    seen = []
    forward = JointLoss.forward

    def note(self, batch, noise, gate_weight, whole):
        seen.append((self.keep_limits, gate_weight))
        return forward(self, batch, noise, gate_weight, whole)

    monkeypatch.setattr(JointLoss, "forward", note)
    train(TINY, tmp_path / "run", domain)
    kept, weight = zip(*seen, strict=True)
    assert kept == (False,) * TINY.joint_steps + (True,) * TINY.tune_steps
    assert weight[-2:] == (TINY.gate_loss_weight,) * 2


def test_what_is_saved_is_what_is_loaded(domain, tmp_path):
    trained = train(TINY, tmp_path / "run", domain)
    loaded = TrainedSupernet.load(tmp_path / "run")
    assert loaded.digest == trained.digest and loaded.image_shape == (1, 56, 56)
    assert loaded.domain_name == "numvqa"
    x = torch.rand(2, 1, 56, 56, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded.supernet(x), trained.supernet(x))
    assert (tmp_path / "run" / "curve.html").stat().st_size > 1e6
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_folders_are_not_trampled_on(domain, tmp_path):
    with pytest.raises(InputError, match="no checkpoint in .* to resume; start without `resume`"):
        train(TINY, tmp_path / "new", domain, resume=True)
    with pytest.raises(Killed):
        train(TINY, tmp_path / "run", domain, on_progress=kill_at("pretrain", 2))
    with pytest.raises(InputError, match="holds an unfinished run; continue it with `resume`"):
        train(TINY, tmp_path / "run", domain)
    train(TINY, tmp_path / "run", domain, resume=True)
    with pytest.raises(InputError, match="already holds a trained supernet"):
        train(TINY, tmp_path / "run", domain)


def test_a_recipe_is_not_trained_on_another_domain(tmp_path):
    detection = AttrOd(("digit-1", "digit-2"), Grid(64, (8, 16)), lambda split: pytest.fail("images are read"), "none")
    with pytest.raises(InputError, match="recipe 'tiny' is for domain 'numvqa', not for 'attrod'"):
        train(TINY, tmp_path / "run", detection)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04cut", b"cos\nsystem\n(S'true'\ntR."])
def test_a_corrupt_or_hostile_checkpoint_is_refused(domain, tmp_path, content):
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(InputError, match="is not a training checkpoint"):
        train(TINY, tmp_path, domain, resume=True)


def test_a_run_is_watched_on_validation_images(domain, tmp_path):
    asked = set()

    class Noted(numvqa.NumVqa):
        def examples(self, task, split, n, rng):
            asked.add((task, split))
            return super().examples(task, split, n, rng)

    train(tiny(evaluate_every=2), tmp_path, Noted(domain.digits))
    assert asked == {(task, "validation") for task in numvqa.TRAINED}


class Rated:
    """In place of the validation: scores that are known."""

    def __init__(self, *scores):
        self.scores = list(scores)
        self.seen = []

    def __call__(self, trained, objective, limit, seed):
        self.seen.append({name: tensor.clone() for name, tensor in weights(trained).items()})
        return self.scores[len(self.seen) - 1]


PATIENT = replace(tiny(evaluate_every=2, patience=2), joint_steps=40)


def test_the_best_evaluation_is_delivered_and_patience_ends(domain, tmp_path, monkeypatch):
    rated = Rated(0.5, 0.9, 0.8, 0.7)
    monkeypatch.setattr(joint, "validation_score", rated)
    trained = train(replace(PATIENT, calibrate_steps=0), tmp_path, domain)
    assert len(rated.seen) == 4 and trained.facts["best_step"] == 4
    for name, tensor in weights(trained).items():
        assert torch.equal(tensor, rated.seen[1][name]), name


def test_patience_survives_a_kill(domain, tmp_path, monkeypatch):
    patient = replace(PATIENT, calibrate_steps=1)
    monkeypatch.setattr(joint, "validation_score", Rated(0.5, 0.9, 0.8))
    with pytest.raises(Killed):
        train(patient, tmp_path, domain, on_progress=kill_at("joint", 7))
    rated = Rated(0.7)
    monkeypatch.setattr(joint, "validation_score", rated)
    assert train(patient, tmp_path, domain, resume=True).facts["best_step"] == 4
    assert len(rated.seen) == 1, "the second evaluation in a row without a better one was the last"


def test_without_pretraining_the_backbone_starts_at_random(domain, tmp_path):
    trained = train(replace(TINY, pretrain_steps=0), tmp_path, domain)
    assert trained.facts["recipe"]["pretrain_steps"] == 0
    assert "pretrain" not in (tmp_path / "metrics.csv").read_text()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float64"])
def test_on_cuda_a_run_is_killed_resumed_and_delivered_to_the_cpu(domain, tmp_path, precision):
    recipe = tiny(device="cuda", precision=precision, averaging=0.5)
    trained = killed_and_resumed(recipe, tmp_path / "cuda", domain, "joint", 3)
    here = train(tiny(precision=precision, averaging=0.5), tmp_path / "cpu", domain)
    assert (trained.facts["device"], here.facts["device"]) == ("cuda", "cpu")
    for name, tensor in weights(here).items():
        other = weights(trained)[name]
        assert other.device.type == "cpu" and other.dtype == tensor.dtype and other.isfinite().all()
        if precision == "float64":
            assert torch.allclose(other, tensor, atol=1e-4), name
    assert TrainedSupernet.load(tmp_path / "cuda").digest == trained.digest


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
@pytest.mark.parametrize("keep_limits", [False, True])
def test_on_cuda_no_step_waits_for_the_gpu(domain, tmp_path, keep_limits):
    """Between the first step of the joint stage and the last, whose loss is written."""

    def on_progress(at):
        if at.stage == "joint":
            torch.cuda.set_sync_debug_mode("error" if at.step < at.total - 1 else "default")

    recipe = replace(tiny(device="cuda", precision="bfloat16", checkpoint_every_s=1e9), keep_limits=keep_limits)
    try:
        train(recipe, tmp_path / "run", domain, on_progress=on_progress)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_averaged_weights_are_what_is_delivered(domain, tmp_path, whole):
    """The tiny run is the same but for the average, over its few steps close to where they began."""
    recipe = tiny(averaging=0.9)
    averaged = train(recipe, tmp_path / "averaged", domain)
    assert any(not torch.equal(tensor, weights(averaged)[name]) for name, tensor in weights(whole).items())
    cut = killed_and_resumed(recipe, tmp_path / "cut", domain, "joint", 3)
    for name, tensor in weights(averaged).items():
        assert torch.equal(tensor, weights(cut)[name]), name


def test_what_cannot_begin_leaves_no_folder(domain, tmp_path):
    with pytest.raises(InputError, match="sets `open_share`, but its tasks are answered by 2 outputs"):
        train(replace(TINY, open_share=0.25), tmp_path / "never", domain)
    with pytest.raises(InputError, match="there is no file weights.pth"):
        train(replace(TINY, start="weights.pth"), tmp_path / "never", domain)
    assert not (tmp_path / "never").exists()
