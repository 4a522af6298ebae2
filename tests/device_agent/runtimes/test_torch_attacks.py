"""Files that make torch alone run a command: here they run nothing."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from edgewright.device_agent.measure import measure
from edgewright.device_agent.runtimes.base import Runtime
from torch import nn

from tests.device_agent.runtimes.torch_files import QUICK, Change, changed, first_node, in_json, scripted, torch_pickle


class Evil:
    """Its pickle runs a command that leaves a file."""

    def __init__(self, path: Path) -> None:
        self._command = f"touch '{path}'"

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self._command,)


# What torch alone executes when it opens the file, the member that holds it, and whether the file is still of use.
ATTACKS: dict[str, tuple[Callable[[Path], Change], str | None]] = {}


def attack(refusal: str | None) -> Callable[[Callable[[Path], Change]], Callable[[Path], Change]]:
    def register(make: Callable[[Path], Change]) -> Callable[[Path], Change]:
        ATTACKS[make.__name__] = (make, refusal)
        return make

    return register


@attack("stored as a pickle")
def pickled_weight(marker: Path) -> Change:
    def change(members: dict[str, bytes]) -> None:
        in_json("data/weights/model_weights_config.json", lambda c: c["config"]["conv.bias"].update(use_pickle=True))(
            members
        )
        members["data/weights/weight_1"] = torch_pickle(Evil(marker))

    return change


@attack("stored as a pickle")
def pickled_constant(marker: Path) -> Change:
    def change(members: dict[str, bytes]) -> None:
        name = "data/constants/model_constants_config.json"
        in_json(name, lambda c: c["config"]["offset"].update(use_pickle=True))(members)
        members["data/constants/tensor_0"] = torch_pickle(Evil(marker))

    return change


@attack("stored as a pickle")
def opaque_constant(marker: Path) -> Change:
    def change(members: dict[str, bytes]) -> None:
        name = "data/constants/model_constants_config.json"
        in_json(name, lambda c: c["config"]["offset"].update(path_name="opaque_obj_0"))(members)
        members["data/constants/opaque_obj_0"] = pickle.dumps(Evil(marker))

    return change


@attack(None)
def sample_inputs(marker: Path) -> Change:
    return lambda members: members.update({"data/sample_inputs/model.pt": torch_pickle(Evil(marker))})


@attack(None)
def weights_of_an_older_format(marker: Path) -> Change:
    return lambda members: members.update({"data/weights/model.pt": torch_pickle(Evil(marker))})


@attack("'torch.os.system', which is not run here")
def operator_that_is_none(marker: Path) -> Change:
    argument = {"name": "command", "arg": {"as_string": f"touch '{marker}'"}, "kind": 1}
    return first_node(target="torch.os.system", inputs=[argument])


@attack("unexpected text")
def code_in_a_name(marker: Path) -> Change:
    """An input's name becomes a parameter in generated Python, with this as its default value."""
    name = f"x=__import__('os').system('touch {marker}')"
    text = json.dumps(name)[1:-1]

    def change(members: dict[str, bytes]) -> None:
        program = members["models/model.json"].decode()
        members["models/model.json"] = (
            program.replace('{"name": "x"}', f'{{"name": "{text}"}}').replace('"x": {', f'"{text}": {{').encode()
        )

    return change


@attack("dynamic shapes")
def code_in_an_expression(marker: Path) -> Change:
    code = f"__import__('os').system('touch {marker}')"
    size = {"as_expr": {"expr_str": code, "hint": {"as_int": 1}}}

    def edit(program: Any) -> None:
        program["graph_module"]["graph"]["tensor_values"]["x"]["sizes"][0] = size

    return in_json("models/model.json", edit)


@attack("holds compiled code")
def compiled_code(marker: Path) -> Change:
    return lambda members: members.update({"data/aotinductor/model/model.so": b"\x7fELF"})


@attack("takes or returns a")
def enumeration_that_imports_a_module(marker: Path) -> Change:
    (marker.parent / "left_behind.py").write_text(f"open({str(marker)!r}, 'w').close()")
    context = json.dumps({"__enum__": True, "fqn": "left_behind:Colour", "name": "RED"})
    spec = json.dumps([1, {"type": "builtins.list", "context": context, "children_spec": []}])

    def edit(program: Any) -> None:
        program["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = spec

    return in_json("models/model.json", edit)


@attack(None)
def guards(marker: Path) -> Change:
    code = f"__import__('os').system('touch {marker}') == 0"
    return in_json("models/model.json", lambda program: program.update(guards_code=[code]))


@pytest.mark.parametrize("name", ATTACKS)
def test_an_export_runs_nothing(runtime: Runtime, export: bytes, tmp_path: Path, name: str) -> None:
    make, refusal = ATTACKS[name]
    record = measure(changed(export, make(tmp_path / "ran")), runtime, QUICK)
    assert not (tmp_path / "ran").exists()
    if refusal is None:
        assert "error" not in record, "the evil part is left out, and nobody misses it"
    else:
        assert record["error"]["kind"] == "load_failed" and refusal in record["error"]["message"]


# Those that the torch of today runs; the others are a step away from it.
REAL = {
    "pickled_weight", "pickled_constant", "sample_inputs", "weights_of_an_older_format", "code_in_an_expression",
    "enumeration_that_imports_a_module", "guards",
}  # fmt: skip
OPEN_EACH = """
import os, sys, torch
from edgewright.device_agent.runtimes.torch import import_torch
import_torch()
for name in sys.argv[1:]:
    if os.fork() == 0:
        sys.path.insert(0, name)
        torch.export.load(name + "/evil.pt2").module()(torch.zeros(1, 3, 8, 8))
        os._exit(0)
    os.wait()
"""


@pytest.mark.sweep
def test_the_attacks_are_real(export: bytes, tmp_path: Path) -> None:
    """torch alone, given the same files, runs the command."""
    for name, (make, _) in ATTACKS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "evil.pt2").write_bytes(changed(export, make(tmp_path / name / "ran")))
    argv = [sys.executable, "-c", OPEN_EACH, *(str(tmp_path / name) for name in ATTACKS)]
    subprocess.run(argv, capture_output=True, timeout=200, check=False)
    assert {name for name in ATTACKS if (tmp_path / name / "ran").exists()} >= REAL


@pytest.mark.parametrize(
    ("target", "allowed"),
    [
        ("torch.ops.aten.relu.default", True),
        ("torch.ops.aten.from_file.default", False),
        ("torch.ops.aten.save", False),
        ("torch.ops.aten.__class__", False),
        ("torch.ops.c10d.broadcast_.default", False),
        ("torch.ops.higher_order.triton_kernel_wrapper_mutation", False),
        ("torch.load", False),
        ("_operator.methodcaller", False),
        ("torch.ops.aten.relu.default\n", False),
        ("math.exp", False),
        ("#extension", False),
    ],
)
def test_operators_are_those_that_compute(runtime: Runtime, export: bytes, target: str, allowed: bool) -> None:
    fields = {"target": target, "inputs": [{"name": "self", "arg": {"as_tensor": {"name": "x"}}, "kind": 1}]}
    error = measure(changed(export, first_node(**fields)), runtime, QUICK).get("error", {"message": ""})
    assert ("is not run here" in error["message"]) is not allowed


def evil_pickle(member: str) -> Callable[[Path], Change]:
    return lambda marker: lambda members: members.update({member: pickle.dumps(Evil(marker), 2)})


def programme(line: str, member: str = "code/__torch__/more.py") -> Callable[[Path], Change]:
    def make(marker: Path) -> Change:
        text = f"def more(x: Tensor) -> NoneType:\n  {line.format(marker=marker)}\n  return None\n"
        return lambda members: members.update({member: text.encode()})

    return make


@pytest.mark.parametrize(
    ("make", "refusal"),
    [
        (evil_pickle("data.pkl"), "torch .* cannot load this model"),
        (evil_pickle("constants.pkl"), "torch .* cannot load this model"),
        (evil_pickle("traced_inputs.pkl"), "system is not allowed in it"),
        (programme('torch.save(x, "{marker}")'), "says 'save'"),
        (programme('_0 = torch.from_file("{marker}", True, 100)'), "says 'from_file'"),
        (programme('_0 = getattr(torch, "s\\141ve")(x, "{marker}")'), "says 'getattr'"),
        (programme("_0 = ops.c10d.broadcast_(x)"), "says 'ops'"),
        (programme("_0 = ops"), "says 'ops'"),
        (programme("_0 = __torch__.torch.classes.c10d.FileStore()"), "says 'classes'"),
        (
            lambda marker: lambda m: m.update({"data.pkl": b"\x80\x02c__torch__.torch.classes.c10d\nFileStore\n."}),
            "custom",
        ),
        (lambda marker: lambda m: m.update({"code/__torch__/more.py": b"\xff\xfe"}), "is no text"),
    ],
    ids=["data", "constants", "inputs", "save", "from_file", "escaped", "ops", "alias", "classes", "object", "bytes"],
)
def test_a_script_runs_nothing_but_its_network(
    runtime: Runtime, traced: bytes, tmp_path: Path, make: Callable[[Path], Change], refusal: str
) -> None:
    error = measure(changed(traced, make(tmp_path / "ran")), runtime, QUICK)["error"]
    assert error["kind"] == "load_failed"
    assert re.search(refusal, error["message"])
    assert not (tmp_path / "ran").exists()


class Writes(nn.Module):
    """Writes a file as soon as it is loaded, in TorchScript alone."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path, self.training = state
        torch.save(torch.zeros(1), state[0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_a_script_that_writes_when_it_is_loaded_is_not_loaded(runtime: Runtime, tmp_path: Path) -> None:
    content = scripted(torch.jit.script(Writes(str(tmp_path / "ran"))), inputs='[{"shape": [1], "dtype": "float32"}]')
    torch.jit.load(io.BytesIO(content))
    (tmp_path / "ran").unlink()  # it is real: torch alone has written it
    error = measure(content, runtime, QUICK)["error"]
    assert error["kind"] == "load_failed" and "'save'" in error["message"]
    assert not (tmp_path / "ran").exists()
