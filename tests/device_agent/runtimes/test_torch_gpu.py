"""torch on a GPU, which is pretended: its clock, its memory, its limits."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from edgewright.device_agent.isolation import run_isolated
from edgewright.device_agent.measure import measure, run_batch
from edgewright.device_agent.runtimes.base import TensorSpec
from edgewright.device_agent.runtimes.cuda import Cuda, find_cuda
from edgewright.device_agent.runtimes.torch import TorchRuntime

from tests.device_agent.runtimes.torch_files import QUICK, ZEROS

ROOT = Path(__file__).parents[3]


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
    """Asked in a child, as the agent does it: to ask is enough to spoil CUDA for the children of this process."""

    def ask() -> tuple[dict[str, Any], bytes]:
        found = find_cuda(torch)
        return {"found": found is not None, "started": torch.cuda.is_initialized()}, b""

    answer = run_isolated(ask, 60, 1 << 20).header
    if answer["found"]:
        pytest.skip("this machine has a GPU; run this test on one without")
    assert not answer["started"]


EXPORT_THEN_FORK = """
import torch
from edgewright.device_agent.isolation import run_isolated
from tests.device_agent.runtimes.torch_files import Small, exported

exported(Small(), torch.zeros(1, 3, 8, 8))
print(run_isolated(lambda: ({"bad": torch.cuda._is_in_bad_fork()}, b""), 60, 1 << 20).header)
"""


def test_exporting_leaves_cuda_to_the_children_of_the_process() -> None:
    """In a process of its own: another test may have started CUDA in this one."""
    if torch.version.cuda is None:
        pytest.skip("this torch knows no CUDA")
    argv = [sys.executable, "-c", EXPORT_THEN_FORK]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "{'bad': False}\n", done.stderr


def test_a_child_of_a_process_that_used_the_gpu_says_so(export: bytes) -> None:
    spoilt = TorchWithGpu()
    spoilt.cuda._is_in_bad_fork = lambda: True  # type: ignore[attr-defined]
    error = measure(export, TorchRuntime(spoilt), QUICK)["error"]
    assert error["kind"] == "load_failed" and "had started CUDA" in error["message"]


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
