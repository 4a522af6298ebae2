"""torch on the device: what its files may hold, and how one is refused that is not sound."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
import torch
from edgewright.device_agent.isolation import run_isolated
from edgewright.device_agent.measure import measure, run_batch
from edgewright.device_agent.runtimes.base import Runtime
from edgewright.device_agent.timing import TimingProtocol
from torch import nn

from tests.device_agent.runtimes.torch_files import (
    QUICK,
    Change,
    Small,
    changed,
    exported,
    first_node,
    in_json,
    scripted,
)


def test_outputs_are_those_of_the_network(runtime: Runtime, export: bytes, traced: bytes) -> None:
    inputs = np.random.default_rng(0).standard_normal((3, 3, 8, 8), np.float32)
    with torch.inference_mode():
        expected = Small().eval()(torch.from_numpy(inputs)).numpy()
    for content in (export, traced):
        outcome = run_batch(content, runtime, [inputs], QUICK)
        assert outcome.error is None
        (told,) = outcome.header["outputs"]
        outputs = np.frombuffer(outcome.payload, told["dtype"]).reshape(told["shape"])
        assert np.abs(outputs - expected).max() < 1e-5


def test_memory_counts_the_weights_once(runtime: Runtime) -> None:
    """They are copied out of the file, which is not needed any more."""
    content = exported(nn.Linear(1024, 2048), torch.zeros(1, 1024))
    assert len(content) > 8 << 20
    record = measure(content, runtime, QUICK)
    if record["device"] == "cuda":
        pytest.skip("the driver of this machine's GPU takes more of the host's memory than the weights")
    assert 8 < record["memory_mib"] < 12


@pytest.mark.parametrize("threads", [1, 3])
def test_the_child_uses_as_many_threads_as_asked(runtime: Runtime, export: bytes, threads: int) -> None:
    before = torch.get_num_threads()

    def count() -> tuple[dict[str, int], bytes]:
        runtime.load(export, threads)
        return {"threads": torch.get_num_threads()}, b""

    assert run_isolated(count, 60, 2048).header == {"threads": threads}
    assert torch.get_num_threads() == before


def test_a_script_that_was_not_traced_says_what_it_takes(runtime: Runtime) -> None:
    program = torch.jit.script(Small().eval())
    error = measure(scripted(program), runtime, QUICK)["error"]
    assert error["kind"] == "load_failed" and "inputs.json" in error["message"]
    noted = scripted(program, inputs='[{"shape": [1, 3, 8, 8], "dtype": "float32"}]')
    assert "error" not in measure(noted, runtime, QUICK)
    for wrong in ('[{"shape": [0], "dtype": "float32"}]', '[{"shape": [1], "dtype": "object"}]', "[1]", "{", "[[[["):
        assert measure(scripted(program, inputs=wrong), runtime, QUICK)["error"]["kind"] == "load_failed"


class TwoWays(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> dict[str, Any]:
        return {"sum": a + b, "both": (a, [b])}


def test_several_inputs_and_nested_outputs(runtime: Runtime) -> None:
    content = exported(TwoWays(), torch.zeros(1, 2), torch.zeros(1, 2))

    def specs() -> tuple[dict[str, Any], bytes]:
        model = runtime.load(content, 1)
        model.set_input(1, np.array([[1, 2]], np.float32))
        model.invoke()
        return {"in": len(model.inputs), "out": [list(model.output(i)[0]) for i in range(len(model.outputs))]}, b""

    found = run_isolated(lambda: _json(specs()), 60, 2048).header
    assert found == {"in": 2, "out": [[1.0, 2.0], [0.0, 0.0], [1.0, 2.0]]}
    assert "error" not in measure(content, runtime, QUICK)
    outcome = run_batch(content, runtime, [np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)], QUICK)
    assert outcome.error is None and len(outcome.header["outputs"]) == 3
    one = run_batch(content, runtime, [np.zeros((1, 2), np.float32)], QUICK)
    assert "takes 2 inputs, got 1" in one.error["message"]


def _json(result: tuple[dict[str, Any], bytes]) -> tuple[dict[str, Any], bytes]:
    return json.loads(json.dumps(result[0], default=float)), result[1]


class ByKeyword(nn.Module):
    def forward(self, a: torch.Tensor, *, b: torch.Tensor) -> torch.Tensor:
        return a + b


class OfAPair(nn.Module):
    def forward(self, pair: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return pair[0] + pair[1]


def test_inputs_that_are_no_plain_tensors_are_refused(runtime: Runtime) -> None:
    one = torch.zeros(1, 2)
    for content in (exported(ByKeyword(), one, kwargs={"b": one}), exported(OfAPair(), (one, one))):
        assert "nested or keyword inputs" in measure(content, runtime, QUICK)["error"]["message"]


def test_a_batch_of_any_size_is_refused(runtime: Runtime) -> None:
    batch = {"dynamic_shapes": ({0: torch.export.Dim("batch", min=2, max=8)},)}
    content = exported(Small(), torch.zeros(2, 3, 8, 8), **batch)
    assert "fixed shapes" in measure(content, runtime, QUICK)["error"]["message"]


def rename(old: str, new: str) -> Change:
    return lambda members: members.update({new: members.pop(old)})


@pytest.mark.parametrize(
    "change",
    [
        rename("models/model.json", "models/other.json"),
        rename("data/weights/model_weights_config.json", "x"),
        rename("archive_version", "x"),
        rename("data/weights/weight_0", "x"),
        lambda members: members.update({"models/model.json": b"[" * 100_000}),
        lambda members: members.update({"models/model.json": b"[]"}),
        in_json("models/model.json", lambda program: program.pop("graph_module")),
        in_json("models/model.json", lambda program: program.update(schema_version={"major": 99, "minor": 0})),
        in_json("models/model.json", lambda program: program["graph_module"]["graph"]["nodes"].clear()),
        first_node(target="torch.ops.aten.no_such_operator.default"),
        first_node(inputs=[]),
    ],
    ids="model config version weight deep list no-graph newer no-nodes operator arguments".split(),
)
def test_a_file_that_is_not_sound_fails_to_load(runtime: Runtime, export: bytes, change: Change) -> None:
    error = measure(changed(export, change), runtime, QUICK)["error"]
    assert error["kind"] == "load_failed" and len(error["message"]) < 1500


def test_two_members_of_one_name_are_refused(runtime: Runtime, export: bytes) -> None:
    buffer = io.BytesIO(export)
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(archive.namelist()[0], b"another")
    assert "two members of one name" in measure(buffer.getvalue(), runtime, QUICK)["error"]["message"]


def test_a_bomb_is_out_of_memory(runtime: Runtime, export: bytes) -> None:
    buffer = io.BytesIO(export)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        root = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{root}/more", bytes(256 << 20))
    assert len(buffer.getvalue()) < 1 << 20
    assert measure(buffer.getvalue(), runtime, TimingProtocol(memory_limit_mib=128))["error"]["kind"] == "out_of_memory"
