"""Real models on the real runtime, in the real child."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from edgewright.device_agent.isolation import run_isolated
from edgewright.device_agent.measure import measure, run_batch
from edgewright.device_agent.memory import exhaustion_named, heap_bytes, memory_gauge, status_bytes
from edgewright.device_agent.runtimes.base import ModelLoadError, ModelRunError, Runtime
from edgewright.device_agent.runtimes.tflite import TfliteModel
from edgewright.device_agent.timing import TimingProtocol

QUICK = TimingProtocol(n_warmup_min=1, warmup_max_ms=20, n_runs=5, min_time_ms=1)


def test_runtime_is_named_with_its_version(runtime: Runtime) -> None:
    assert runtime.name in ("ai-edge-litert", "tflite-runtime")
    assert runtime.version is not None and runtime.version[0].isdigit()


def test_a_record_has_everything(runtime: Runtime, small_model: bytes) -> None:
    record = measure(small_model, runtime, TimingProtocol(warmup_max_ms=5000, max_time_ms=20_000))
    assert "error" not in record
    samples = record["samples_ms"]
    assert len(samples) >= 30 and min(samples) > 0
    assert record["median_ms"] == median(samples)
    assert record["n_warmup"] >= 5 and record["load_ms"] > 0
    assert record["child_ms"] >= record["load_ms"] + sum(samples)
    assert record["size_bytes"] == len(small_model)
    assert record["memory_mib"] > len(small_model) / 2**20 and record["memory_method"] in ("mallinfo2", "rss_anon")
    for moment in ("health_before", "health_after"):
        assert record[moment]["load_1m"] is not None


def test_memory_repeats_and_grows_with_the_model(runtime: Runtime, small_model: bytes, slow_model: bytes) -> None:
    small = [measure(small_model, runtime, QUICK)["memory_mib"] for _ in range(3)]
    assert max(small) - min(small) < 0.05
    activations_mib = 2 * 128 * 128 * 64 * 4 / 2**20  # what one layer of the slow model reads and writes
    assert measure(slow_model, runtime, QUICK)["memory_mib"] > activations_mib


class Hoarder:
    """A real runtime whose models hold on to 16 MiB more than they need."""

    mib = 16

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def __getattr__(self, name: str) -> object:
        return getattr(self._runtime, name)

    def load(self, content: bytes, threads: int) -> object:
        loaded = self._runtime.load(content, threads)
        loaded.hoard = np.ones(self.mib << 20, np.uint8)  # type: ignore[attr-defined]  # ones: every page is touched
        return loaded


@pytest.mark.parametrize("gauge", ["mallinfo2", "rss_anon"])
def test_memory_is_that_of_an_allocation_of_known_size(
    runtime: Runtime, small_model: bytes, gauge: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gauges = {"mallinfo2": heap_bytes, "rss_anon": lambda: status_bytes("RssAnon")}
    if gauges[gauge]() is None:
        pytest.skip(f"this system has no gauge {gauge}")
    monkeypatch.setattr("edgewright.device_agent.measure.memory_gauge", lambda: (gauge, gauges[gauge]))
    plain, hoarding = (measure(small_model, each, QUICK) for each in (runtime, Hoarder(runtime)))
    assert plain["memory_method"] == hoarding["memory_method"] == gauge
    assert hoarding["memory_mib"] - plain["memory_mib"] == pytest.approx(Hoarder.mib, abs=0.1)


# In a process of its own, which has loaded what an agent loads and no more.
MODULES_OF_A_CHILD = """
import sys
from edgewright.device_agent import measure as module
from edgewright.device_agent.isolation import run_isolated
from edgewright.device_agent.runtimes.choice import Runtimes
from edgewright.device_agent.timing import TimingProtocol

runtime, model = Runtimes().tflite, open(sys.argv[1], "rb").read()

def work():
    before = set(sys.modules)
    module._measure_here(model, runtime, TimingProtocol())
    return {"loaded": sorted(set(sys.modules) - before)}, b""

print(run_isolated(work, 60, 4096).header["loaded"])
"""


def test_a_measuring_child_loads_nothing_that_would_pass_for_the_model(small_model: bytes, tmp_path: Path) -> None:
    path = tmp_path / "small.tflite"
    path.write_bytes(small_model)
    argv = [sys.executable, "-c", MODULES_OF_A_CHILD, str(path)]
    assert subprocess.run(argv, capture_output=True, check=True, text=True).stdout.strip() == "[]"


def test_memory_counts_the_file_that_stays_in_use(
    runtime: Runtime, slow_model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = measure(slow_model, runtime, QUICK)["memory_mib"]
    monkeypatch.setattr(TfliteModel, "keeps_content", False)
    assert counted - measure(slow_model, runtime, QUICK)["memory_mib"] == pytest.approx(0.14, abs=0.05)


def test_an_array_is_a_model_too(runtime: Runtime, small_model: bytes) -> None:
    assert "error" not in measure(np.frombuffer(small_model, np.uint8), runtime, QUICK)


@pytest.mark.parametrize("damage", ["text", "empty", "truncated", "head"])
def test_corrupt_files_fail_to_load(runtime: Runtime, small_model: bytes, damage: str) -> None:
    corrupt = {
        "text": b"no model at all" * 50,
        "empty": b"",
        "truncated": small_model[: len(small_model) // 2],
        "head": b"\xff" * 64 + small_model[64:],
    }[damage]
    error = measure(corrupt, runtime, QUICK)["error"]
    assert error["kind"] == "load_failed" and len(error["message"]) > 20


def test_too_long_is_a_timeout(runtime: Runtime, slow_model: bytes) -> None:
    protocol = TimingProtocol(timeout_s=0.3, min_time_ms=60_000, max_time_ms=60_000)
    assert measure(slow_model, runtime, protocol)["error"]["kind"] == "timeout"


@pytest.mark.parametrize("limit_mib", [1, 100, 400])
def test_too_large_is_out_of_memory_and_the_next_one_works(
    runtime: Runtime, hungry_model: bytes, small_model: bytes, limit_mib: float
) -> None:
    error = measure(hungry_model, runtime, TimingProtocol(memory_limit_mib=limit_mib))["error"]
    assert error["kind"] == "out_of_memory" and f"{limit_mib} MiB" in error["message"]
    assert "error" not in measure(small_model, runtime, QUICK)


def test_affinity_pins_and_an_absent_cpu_is_named(runtime: Runtime, small_model: bytes) -> None:
    cpu = min(os.sched_getaffinity(0))
    before = os.sched_getaffinity(0)
    assert "error" not in measure(small_model, runtime, TimingProtocol(affinity=(cpu,)))
    assert os.sched_getaffinity(0) == before, "only the child is pinned"
    error = measure(small_model, runtime, TimingProtocol(affinity=(4000,)))["error"]
    assert error["kind"] == "bad_affinity" and "4000" in error["message"]


def test_outputs_of_a_batch_equal_those_of_a_plain_interpreter(runtime: Runtime, small_model: bytes) -> None:
    inputs = np.random.default_rng(1).random((3, 32, 32, 16), dtype=np.float32)  # (N, H, W, C)
    outcome = run_batch(small_model, runtime, [inputs], QUICK)
    assert outcome.error is None
    (described,) = outcome.header["outputs"]
    outputs = np.frombuffer(outcome.payload, described["dtype"]).reshape(described["shape"])

    def direct() -> tuple[dict[str, object], bytes]:
        loaded = runtime.load(small_model, 1)
        loaded.set_input(0, inputs[2:3])
        loaded.invoke()
        return {}, loaded.output(0).tobytes()

    expected = np.frombuffer(run_isolated(direct, 30, 512).payload, np.float32)
    assert outputs.shape == (3, 32, 32, 16) and np.array_equal(outputs[2].ravel(), expected)
    assert np.abs(outputs).max() > 0


@pytest.mark.parametrize("inputs", [np.zeros((1, 8, 8, 16), np.float32), np.zeros((1, 32, 32, 16), np.int8)])
def test_wrong_inputs_are_named(runtime: Runtime, small_model: bytes, inputs: np.ndarray) -> None:
    error = run_batch(small_model, runtime, [inputs], QUICK).error
    assert error is not None and error["kind"] == "run_failed"
    assert str(inputs.shape) in error["message"] and inputs.dtype.name in error["message"]


def test_gauges_see_an_allocation_of_known_size() -> None:
    """In a child, where nothing else allocates."""

    def grow() -> tuple[dict[str, float], bytes]:
        gauges = {"heap": heap_bytes, "rss": lambda: status_bytes("RssAnon"), "best": memory_gauge()[1]}
        before = {name: gauge() for name, gauge in gauges.items()}
        block = np.ones(32 << 20, np.uint8)
        grown = {name: (gauge() or 0) - (before[name] or 0) for name, gauge in gauges.items()}
        assert block[-1] == 1
        return {name: size / 2**20 for name, size in grown.items()}, b""

    grown = run_isolated(grow, 30, 512).header
    for name, mib in grown.items():
        assert mib == pytest.approx(32, abs=0.5), name


def test_small_blocks_are_seen_by_the_heap_gauge() -> None:
    if heap_bytes() is None:
        pytest.skip("this libc has no mallinfo2; run the tests on glibc 2.33 or newer for this one")

    def grow() -> tuple[dict[str, int], bytes]:
        before = heap_bytes() or 0
        blocks = [np.ones(1000, np.uint8) for _ in range(1000)]
        return {"grown": (heap_bytes() or 0) - before, "blocks": len(blocks)}, b""

    assert 1_000_000 <= run_isolated(grow, 30, 512).header["grown"] < 1_200_000


def test_only_a_failed_allocation_counts_as_exhaustion(runtime: Runtime) -> None:
    with pytest.raises(ModelLoadError), exhaustion_named():
        runtime.load(b"no model" * 100, 1)
    with pytest.raises(ModelRunError), exhaustion_named():
        raise ModelRunError("wrong shape")
