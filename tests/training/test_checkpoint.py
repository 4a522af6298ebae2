"""Checkpoints are complete or missing, and nothing in one can run code."""

import pickle
from dataclasses import fields

import pytest
import torch
from edgewright.errors import InputError
from edgewright.training.checkpoint import FILE_NAME, Checkpoint

WHOLE = Checkpoint(
    stage="search", step=7, elapsed_s=1.5,
    modules={"weights": {"a": torch.arange(3.0)}, "architecture": {"b": torch.ones(2, 2, dtype=torch.float64)}},
    optimizers=[{"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}],
    hooks={"evaluation": {"best": None, "since_best": 2}, "averaging": {"averages": {"weights": {"a": torch.ones(3)}}}},
    settings={"recipe": {"name": "mine", "shares": [0.5, 1]}},
)  # fmt: skip


def test_what_is_saved_is_what_is_loaded(tmp_path):
    WHOLE.save(tmp_path)
    found = Checkpoint.load(tmp_path)
    for each in fields(Checkpoint):
        assert str(getattr(found, each.name)) == str(getattr(WHOLE, each.name)), each.name
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_a_checkpoint_that_cannot_be_written_whole_leaves_the_last_one(tmp_path, monkeypatch):
    WHOLE.save(tmp_path)
    before = (tmp_path / FILE_NAME).read_bytes()

    def cut(content, file):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", cut)
    with pytest.raises(OSError, match="No space left"):
        WHOLE.save(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == before and len(list(tmp_path.iterdir())) == 1


class Hostile:
    def __reduce__(self):
        return (open, ("hostile.txt", "w"))


def test_a_hostile_checkpoint_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"version": 2, "facts": Hostile(), "modules": {}, "optimizers": [], "hooks": {}}, tmp_path / FILE_NAME)
    with pytest.raises(InputError, match="is not a training checkpoint"):
        Checkpoint.load(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(InputError, match="is not a training checkpoint"):
        Checkpoint.load(tmp_path)
    assert not (tmp_path / "hostile.txt").exists()


def test_newer_and_unknown_versions_are_refused(tmp_path):
    WHOLE.save(tmp_path)
    content = torch.load(tmp_path / FILE_NAME, weights_only=True)
    torch.save({**content, "version": 3}, tmp_path / FILE_NAME)
    with pytest.raises(InputError, match="has version 3, this program reads 2; update edgewright"):
        Checkpoint.load(tmp_path)
    del content["version"]
    torch.save(content, tmp_path / FILE_NAME)
    with pytest.raises(InputError, match="is not a training checkpoint"):
        Checkpoint.load(tmp_path)
    assert Checkpoint.load(tmp_path, lambda old: {**old, "version": 2}).stage == "search"


def test_a_finished_run_leaves_none(tmp_path):
    assert not Checkpoint.exists(tmp_path)
    WHOLE.save(tmp_path)
    assert Checkpoint.exists(tmp_path)
    Checkpoint.remove(tmp_path)
    Checkpoint.remove(tmp_path)
    assert not Checkpoint.exists(tmp_path)
