"""Two processes train as one does. Real processes, started by torchrun, talking over gloo."""

import json
import os
import subprocess
import sys

import pytest
import torch
from edgewright.assembler.archive import TrainedSupernet
from edgewright.errors import InputError
from edgewright.training.workers import Workers, joined

RECIPE = """
name = "tiny"
batch_size = 16
pretrain_steps = 3
joint_steps = 4
calibrate_steps = 2
n_augmented_tasks = 20
device = "cpu"
precision = "float64"
evaluate_every = 2
keep_limits = true
semhash_noise = true

[backbone]
name = "resnet18"

[backbone.arguments]
in_chans = 1
num_classes = 2
channels = [4, 4, 8, 8]
zero_init_last = false
"""


def train(folder, *launcher):
    recipe, out = folder / "tiny.toml", folder / "out"
    folder.mkdir()
    recipe.write_text(RECIPE)
    program = [sys.executable, *launcher, "-m", "edgewright.cli"]
    done = subprocess.run(
        [*program, "train", recipe, "--out", out, "--json"],
        capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return done, out


@pytest.mark.sweep
def test_two_processes_give_the_same_weights_as_one(tmp_path):
    two = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    (alone, one_folder), (together, two_folder) = train(tmp_path / "one"), train(tmp_path / "two", *two)
    assert alone.returncode == 0, alone.stderr[-2000:]
    assert together.returncode == 0, together.stderr[-2000:]
    assert json.loads(together.stdout)["supernet"] == str(two_folder), "one of the two answers, not both"
    one, both = TrainedSupernet.load(one_folder), TrainedSupernet.load(two_folder)
    assert (one.facts["processes"], both.facts["processes"]) == (1, 2)
    states = [{**each.supernet.backbone.state_dict(), **each.assembler.state_dict()} for each in (one, both)]
    for name, tensor in states[0].items():
        assert torch.allclose(tensor.float(), states[1][name].float(), atol=1e-5, rtol=1e-4), name
    rows = [(folder / "metrics.csv").read_text().splitlines() for folder in (one_folder, two_folder)]
    losses = [[float(row.split(",")[2]) for row in part[1:]] for part in rows]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5), "the loss is the mean over both"


def test_a_batch_that_cannot_be_shared_is_refused():
    assert Workers(1, 2).part(8) == slice(4, 8)
    for n, count in ((9, 2), (2, 2)):
        with pytest.raises(InputError, match=f"a batch of {n} cannot be shared by {count} processes; set `batch_size`"):
            Workers(0, count).part(n)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA: nothing is missing to be told")
def test_missing_cuda_is_said():
    with pytest.raises(InputError, match='ask for device "cuda", but torch finds none here'), joined("cuda"):
        pass
