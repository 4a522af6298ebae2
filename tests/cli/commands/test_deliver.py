"""`edgewright deliver`: from a user's file to a verdict on a device."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command_line import MAIN

USER = """
import torch
from torch import nn

class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.head = nn.Embedding(30, 8), nn.Linear(9, 4)

    def forward(self, ids, mood):
        print("looking at", tuple(ids.shape))
        return self.head(torch.cat([self.words(ids).mean(1), mood], 1))

def make():
    print("making")
    torch.manual_seed(0)
    return Tagger().eval(), (torch.tensor([[1, 2, 29]]), torch.tensor([[0.5]]))

def broken():
    raise RuntimeError("no weights here")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("user")
    (folder / "tagger.py").write_text(USER)
    return folder


def run(folder, *words, code=0):
    argv = [sys.executable, "-c", MAIN, "deliver", *words, "--workspace", str(folder / "workspace"), "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=280, cwd=folder)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout), done.stderr


def test_a_module_is_delivered_with_its_verdict(folder):
    told, said = run(
        folder, "tagger.py:make", "--out", "tagger.tflite", "--latency-ms", "1000", "--size-mib", "1", "--push"
    )
    content = (folder / "tagger.tflite").read_bytes()
    assert set(told) == {
        "model", "manifest", "device", "device_path", "precision", "budget", "measured", "latency_spread_ms",
        "parity_max_abs", "verified", "size_bytes", "sha256",
    }  # fmt: skip
    assert told["model"] == "tagger.tflite" and told["device"] == "local" and told["precision"] == "float32"
    assert told["verified"] is True and told["parity_max_abs"] < 1e-5
    assert set(told["measured"]) == {"latency_ms", "memory_mib", "size_mib"} and told["measured"]["latency_ms"] > 0
    assert told["size_bytes"] == len(content) and told["sha256"] == hashlib.sha256(content).hexdigest()
    assert Path(told["device_path"]).read_bytes() == content
    assert json.loads((folder / told["manifest"]).read_text())["task"] == "Tagger"
    for part in ("making\n", "looking at (1, 3)", "converting Tagger", "Delivered", "budget"):
        assert part in said


def test_int8_says_what_it_was_calibrated_on(folder):
    told, _ = run(folder, "tagger.py:make", "--out", "small.tflite", "--precision", "int8")
    assert told["precision"] == "int8" and told["budget"] is None and told["device_path"] is None
    assert json.loads((folder / told["manifest"]).read_text())["calibration"] == {"n_samples": 1}


def test_a_budget_that_is_missed_ends_with_what_was_measured_and_no_file(folder):
    told, said = run(folder, "tagger.py:make", "--out", "missed.tflite", "--size-mib", "0.001", code=3)
    assert "Tagger misses 0.001 MiB file on 'local' (size_mib by " in told["error"] and told["exit_code"] == 3
    assert " ms, " in told["error"] and " KiB" in told["error"]
    assert not list(folder.glob("missed*"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("tagger.py:broken",), "tagger.py fails in broken() at line 20: RuntimeError: no weights here"),
        (("gone.py:make",), "there is no file gone.py"),
        (("tagger.py:make", "--device", "locl"), "no device named 'locl'"),
        (("tagger.py:make", "--precision", "int4"), "a precision is one of float32, float16, int8; got 'int4'"),
        (("tagger.py:make", "--latency-ms", "5s"), "did you mean --latency-ms 5000?"),
        (("tagger.py:make", "--push", "--out", "a model.tflite"), "rename the file"),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_slow(edgewright, folder, monkeypatch, words, sentence):
    monkeypatch.chdir(folder)
    answer = edgewright("deliver", *words, "--workspace", folder / "workspace")
    assert answer.exit_code == 2 and sentence in answer.err and "converting" not in answer.err
    assert answer.err.count("\n") <= 2
