"""torch on the device: what its files may hold, and what they cannot make it do."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from edgewright.device_agent.isolation import run_isolated
from edgewright.device_agent.measure import measure, run_batch
from edgewright.device_agent.runtimes.base import Runtime, TensorSpec
from edgewright.device_agent.runtimes.choice import Runtimes
from edgewright.device_agent.runtimes.cuda import Cuda, find_cuda
from edgewright.device_agent.runtimes.torch import TorchRuntime
from edgewright.device_agent.timing import TimingProtocol
from torch import nn

QUICK = TimingProtocol(n_warmup_min=1, warmup_max_ms=20, n_runs=5, min_time_ms=1)
ZEROS = np.zeros((1, 3, 8, 8), np.float32)
Change = Callable[[dict[str, bytes]], None]


class Small(nn.Module):
    """A convolution, a buffer and a constant: what an archive stores in three different places."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.register_buffer("scale", torch.full((4, 1, 1), 2.0))
        self.offset = torch.ones(4, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.gelu(self.conv(x), approximate="tanh") * self.scale + self.offset


def exported(network: nn.Module, *inputs: torch.Tensor, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(network.eval(), inputs, **options), buffer)
    return buffer.getvalue()


def scripted(program: Any, **extra: str) -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(program, buffer, _extra_files={f"{name}.json": text for name, text in extra.items()})
    return buffer.getvalue()


@pytest.fixture(scope="module")
def export() -> bytes:
    return exported(Small(), torch.zeros(1, 3, 8, 8))


@pytest.fixture(scope="module")
def traced() -> bytes:
    return scripted(torch.jit.trace(Small().eval(), torch.zeros(1, 3, 8, 8)))


@pytest.fixture(scope="module")
def runtime(export: bytes) -> Runtime:
    return Runtimes().for_model(export)


def changed(content: bytes, change: Change) -> bytes:
    """The archive with its members changed, by their names below the root folder."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {entry.filename.partition("/")[2]: archive.read(entry) for entry in archive.infolist()}
    change(members)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"model/{name}", data)
    return buffer.getvalue()


class Evil:
    """Its pickle runs a command that leaves a file."""

    def __init__(self, path: Path) -> None:
        self._command = f"touch '{path}'"

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self._command,)


def torch_pickle(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def in_json(name: str, edit: Callable[[Any], None]) -> Change:
    def change(members: dict[str, bytes]) -> None:
        document = json.loads(members[name])
        edit(document)
        members[name] = json.dumps(document).encode()

    return change


def first_node(**fields: Any) -> Change:
    return in_json("models/model.json", lambda program: program["graph_module"]["graph"]["nodes"][0].update(fields))


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
    assert 8 < record["memory_mib"] < 12


@pytest.mark.parametrize("threads", [1, 3])
def test_the_child_uses_as_many_threads_as_asked(runtime: Runtime, export: bytes, threads: int) -> None:
    before = torch.get_num_threads()

    def count() -> tuple[dict[str, int], bytes]:
        runtime.load(export, threads)
        return {"threads": torch.get_num_threads()}, b""

    assert run_isolated(count, 60, 2048).header == {"threads": threads}
    assert torch.get_num_threads() == before


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
        (evil_pickle("traced_inputs.pkl"), "system has no place in it"),
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


class OutOfGpuMemory(RuntimeError):
    pass


class FakeCuda:
    """Stands in for `torch.cuda`; its clock ticks 3 ms for each run."""

    OutOfMemoryError = OutOfGpuMemory

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.now_ms = 0.0

    def is_available(self) -> bool:
        return True

    def init(self) -> None:
        self.calls.append("init")

    def reset_peak_memory_stats(self) -> None:
        self.calls.append("reset")

    def synchronize(self) -> None:
        self.calls.append("synchronize")

    def max_memory_allocated(self) -> int:
        return 5 << 20

    def Event(self, enable_timing: bool) -> FakeEvent:  # noqa: N802
        assert enable_timing
        return FakeEvent(self)


class FakeEvent:
    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda = cuda
        self.at_ms = 0.0

    def record(self) -> None:
        self._cuda.calls.append("record")
        self.at_ms = self._cuda.now_ms
        self._cuda.now_ms += 3

    def synchronize(self) -> None:
        self._cuda.calls.append("wait")

    def elapsed_time(self, end: FakeEvent) -> float:
        return end.at_ms - self.at_ms


@pytest.fixture
def unlimited() -> Any:
    """The limit that `Cuda` lifts, put back."""
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    yield
    resource.setrlimit(resource.RLIMIT_DATA, limits)


def test_a_gpu_is_timed_by_its_own_events_while_nothing_else_runs(unlimited: None) -> None:
    fake = FakeCuda()
    gpu = Cuda(fake)
    assert gpu.run_ms(lambda: fake.calls.append("run")) == 3.0
    assert fake.calls == ["init", "reset", "synchronize", "record", "run", "record", "wait"]
    assert gpu.peak_bytes() == 5 << 20


def test_without_a_gpu_nothing_is_started() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU; run this test on one without")
    assert find_cuda(torch) is None and not torch.cuda.is_initialized()


class TorchWithGpu:
    """torch whose GPU is a fake; the tensors stay on the CPU."""

    def __init__(self) -> None:
        self.cuda = FakeCuda()

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


@pytest.fixture
def with_gpu(monkeypatch: pytest.MonkeyPatch) -> TorchRuntime:
    """`to("cpu")` where a real one would say `to("cuda")`: no GPU has run this code here."""
    monkeypatch.setattr(Cuda, "name", "cpu")
    return TorchRuntime(TorchWithGpu())


@pytest.mark.parametrize("kind", ["export", "traced"])
def test_a_record_from_a_gpu_names_its_clock_and_adds_its_memory(
    with_gpu: TorchRuntime, request: pytest.FixtureRequest, kind: str
) -> None:
    content = request.getfixturevalue(kind)
    record = measure(content, with_gpu, QUICK)
    assert "error" not in record
    assert record["timing_method"] == "cuda_events" and set(record["samples_ms"]) == {3.0}
    assert record["memory_method"].endswith("+torch_cuda_peak") and record["memory_mib"] > 5
    assert run_batch(content, with_gpu, [ZEROS], QUICK).error is None


def test_a_limit_for_the_cpu_does_not_bind_the_driver(with_gpu: TorchRuntime, export: bytes) -> None:
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]

    def limits() -> tuple[dict[str, Any], bytes]:
        before = resource.getrlimit(resource.RLIMIT_DATA)[0]
        with_gpu.load(export, 1)
        return {"before": before, "after": resource.getrlimit(resource.RLIMIT_DATA)[0]}, b""

    found = run_isolated(limits, 60, 512).header
    assert found["before"] != hard and found["after"] == hard


def test_a_full_gpu_is_out_of_memory(export: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        name, version = "torch", "0"

        def accepts(self, content: bytes) -> bool:
            return True

        def load(self, content: bytes, threads: int) -> Any:
            return FullModel()

    class FullModel:
        device, keeps_content, inputs, outputs = "cuda", False, (TensorSpec("x", (1,), np.dtype("float32")),), ()

        def __init__(self) -> None:
            self.accelerator = Cuda(FakeCuda())

        def set_input(self, position: int, value: np.ndarray) -> None: ...

        def invoke(self) -> None:
            with self.accelerator.exhaustion_named():
                raise OutOfGpuMemory("tried to allocate 20 GiB")

        def output(self, position: int) -> np.ndarray:
            raise NotImplementedError

    error = measure(export, Full(), QUICK)["error"]
    assert error["kind"] == "out_of_memory" and "20 GiB" in error["message"] and "GPU" in error["message"]
