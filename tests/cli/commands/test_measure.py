"""`edgewright measure`, with our agent. Google's tool is in `test_backend.py`."""

import numpy as np
import pytest

from tests.device_agent.tiny_models import two_signatures


def test_measure_takes_any_tflite_file(edgewright, workspace, template, trained, tmp_path):
    path = tmp_path / "any.tflite"
    path.write_bytes(template.emit(trained.supernet.space.smallest().pack()).tobytes())
    answer = edgewright("measure", path, "local", "--workspace", workspace, "--json")
    assert answer.exit_code == 0
    assert answer.json["median_ms"] == np.median(answer.json["samples_ms"]) and answer.json["memory_mib"] > 0


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "two.tflite"
    path.write_bytes(two_signatures())
    return path


def test_it_says_what_of_the_model_it_ran(edgewright, tmp_path, model):
    answer = edgewright("measure", model, "--workspace", tmp_path, "--json")
    assert answer.exit_code == 0, answer.err
    assert (answer.json["signature"], answer.json["shapes"]) == ("negate", {"rows": [1, 4]})
    assert "negate (--signature takes double too)" in answer.err
    assert "1,4 (--shape rows=... sets any of any,4)" in answer.err


def test_a_signature_and_shapes_are_chosen(edgewright, tmp_path, model):
    words = ("measure", model, "--workspace", tmp_path)
    answer = edgewright(*words, "--signature", "double", "--shape", "left=5,3", "--shape", "right=5,3", "--json")
    assert answer.exit_code == 0, answer.err
    assert (answer.json["signature"], answer.json["shapes"]) == ("double", {"left": [5, 3], "right": [5, 3]})
    answer = edgewright(*words, "--shape", "rows=7,4", "--json")
    assert answer.json["shapes"] == {"rows": [7, 4]} and "sets any of" not in answer.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--signature", "halve"), "the model has no signature 'halve'; it has: 'negate', 'double'"),
        (("--shape", "left=2,3"), "the model has no input 'left'; its inputs are rows: any,4 float32"),
        (("--shape", "rows=4"), "input 'rows' has 2 dimensions, got 1 (4)"),
        (("--shape", "rows=2,5"), "input 'rows' does not take 2,5; its inputs are rows: any,4 float32"),
        (("--shape", "rows"), "--shape takes an input and its sizes, such as image=4,3,224,224; got 'rows'"),
        (("--shape", "rows=0,4"), "--shape takes an input and its sizes, such as image=4,3,224,224; got 'rows=0,4'"),
        (("--shape", "rows=1,4", "--shape", "rows=2,4"), "--shape names input 'rows' twice"),
    ],
)
def test_what_the_model_has_not_is_bad_input(edgewright, tmp_path, model, words, sentence):
    answer = edgewright("measure", model, *words, "--workspace", tmp_path, "--json")
    assert answer.exit_code == 2 and sentence in answer.json["error"] and answer.err.count("\n") == 1


def test_operators_are_a_table_where_the_runtime_knows_them(edgewright, tmp_path):
    import torch
    from torch import nn

    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4)).eval()
    path = tmp_path / "net.pt"
    torch.jit.save(torch.jit.trace(module, torch.zeros(1, 3, 8, 8)), path)
    answer = edgewright("measure", path, "--per-op", "--workspace", tmp_path, "--json")
    assert answer.exit_code == 0, answer.err
    rows = {row["op"]: row for row in answer.json["per_op"]}
    assert {"aten::addmm", "aten::relu"} <= {name.removesuffix("_") for name in rows}
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1)
    assert "aten::addmm" in answer.err and "share" in answer.err


def test_where_the_runtime_does_not_know_operators_it_is_one_sentence(edgewright, tmp_path, model):
    answer = edgewright("measure", model, "--per-op", "--workspace", tmp_path, "--json")
    assert answer.exit_code == 0 and answer.json["per_op"] is None
    assert "no table of operators: ai-edge-litert for Python cannot tell what single operators cost" in answer.err
