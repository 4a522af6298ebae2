"""One contract for every runtime: the same networks, through an agent started in that runtime's own environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from edgewright.device_agent.timing import TimingProtocol
from edgewright.devices import AgentSession, MeasureJob
from edgewright.devices.deployment.zipapp import build_agent_zipapp
from edgewright.devices.local import LocalStream, LocalTransport
from edgewright.errors import DeviceError
from edgewright.testing.runtimes import RuntimeCase, RuntimeContract

from tests.rigs.environments import environment
from tests.rigs.fixtures import require

QUICK = TimingProtocol(n_warmup_min=1, warmup_max_ms=20, n_runs=5, min_time_ms=1)
TFLITE = ("ai-edge-litert", "tflite-runtime", "tensorflow")
NETWORKS = ("conv_chain", "subnet")
# Runtime: ending of the model file, as the network's exporter names it.
BACKENDS = [(name, "tflite") for name in TFLITE] + [("torch", "pt2"), ("torch", "pt")]


def python_of(runtime: str) -> str:
    """The project's own environment has LiteRT and torch; the others conflict with it."""
    return (
        sys.executable if runtime in ("ai-edge-litert", "torch") else str(require(lambda: environment(runtime)).python)
    )


def start(python: str, folder: Path, *options: str, **variables: str) -> LocalStream:
    """An agent from the zipapp, which sees the project through nothing else."""
    folder.mkdir(exist_ok=True)
    (folder / "agent.pyz").write_bytes(build_agent_zipapp())
    settings = [f"{name}={value}" for name, value in variables.items()]
    argv = ["env", *settings, python, str(folder / "agent.pyz"), "--home", str(folder / "home"), *options]
    return LocalTransport(folder).open_stream(argv)


@dataclass(frozen=True)
class Backend:
    """A session with an agent that uses one runtime."""

    runtime: str
    ending: str
    session: AgentSession
    stream: LocalStream
    files: Path

    def content(self, network: str) -> bytes:
        return (self.files / f"{network}.{self.ending}").read_bytes()

    def arrays(self, network: str) -> tuple[np.ndarray, np.ndarray]:
        return np.load(self.files / f"{network}-inputs.npy"), np.load(self.files / f"{network}-outputs.npy")

    def push(self, content: bytes) -> MeasureJob:
        return MeasureJob(model_sha=self.session.put_blob(content))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, workspace: Path) -> Path:
    """The networks in every format, with torch's answers. The template is left where all tests look for it."""
    folder = tmp_path_factory.mktemp("networks")
    program = Path(__file__).parents[1] / "network_files.py"
    argv = [sys.executable, str(program), str(folder), str(workspace / "templates")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@contextmanager
def started(runtime: str, ending: str, folder: Path, files: Path) -> Iterator[Backend]:
    options = ["--runtime", runtime] if runtime in TFLITE else []
    stream = start(python_of(runtime), folder, *options)
    try:
        with AgentSession(stream, runtime) as session:
            yield Backend(runtime, ending, session, stream, files)
    finally:
        stream.kill()


@pytest.fixture(scope="module", params=BACKENDS, ids=lambda backend: "-".join(backend))
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, files: Path) -> Iterator[Backend]:
    runtime, ending = request.param
    with started(runtime, ending, tmp_path_factory.mktemp(runtime), files) as backend:
        yield backend


class TestRuntimes(RuntimeContract):
    """The shipped contract, by every runtime and for both networks."""

    @pytest.fixture(params=NETWORKS)
    def case(self, backend: Backend, request: pytest.FixtureRequest) -> RuntimeCase:
        path = backend.files / f"{request.param}.{backend.ending}"
        # tflite-runtime follows the offsets of a broken file unchecked; the child that it kills is the answer.
        refusals = ("load_failed", "crash") if backend.runtime == "tflite-runtime" else ("load_failed",)
        return RuntimeCase(backend.session, path, *backend.arrays(request.param), refusals)


@pytest.mark.parametrize("network", NETWORKS)
def test_it_is_timed_on_the_cpu_where_nothing_else_is_asked_for(backend: Backend, network: str) -> None:
    record = backend.session.measure(backend.push(backend.content(network)), QUICK)
    assert record["device"] == "cpu" and record["timing_method"] == "perf_counter"
    assert record["memory_method"] in ("mallinfo2", "rss_anon")


def test_it_says_which_runtime_it_is(backend: Backend) -> None:
    hello, facts = backend.session.agent, backend.session.facts()
    if backend.runtime in TFLITE:
        assert hello["runtime"] == backend.runtime and hello["runtime_error"] is None
        assert hello["runtime_version"] == hello["runtimes"][backend.runtime]["version"]
    assert hello["runtimes"][backend.runtime]["version"][0].isdigit()
    assert hello["runtimes"][backend.runtime]["error"] is None
    assert {name: facts[name] for name in ("runtime", "runtime_version", "runtimes")} == {
        name: hello[name] for name in ("runtime", "runtime_version", "runtimes")
    }


def test_its_specs_name_shape_and_type(backend: Backend, tmp_path: Path) -> None:
    """Asked for in the runtime's own environment, through the zipapp."""
    (tmp_path / "agent.pyz").write_bytes(build_agent_zipapp())
    script = (
        "import json, sys\n"
        "from device_agent.runtimes.choice import Runtimes\n"
        "runtimes = Runtimes(None if sys.argv[1] == 'torch' else sys.argv[1])\n"
        "for path in sys.argv[2:]:\n"
        "    content = open(path, 'rb').read()\n"
        "    runtime = runtimes.for_model(content)\n"
        "    assert runtime.accepts(content) and not runtime.accepts(b'something else')\n"
        "    model = runtime.load(content, 1)\n"
        "    specs = [[[list(s.shape), s.dtype.name] for s in side] for side in (model.inputs, model.outputs)]\n"
        "    print(json.dumps([runtime.name, model.device, *specs]))\n"
    )
    paths = [str(backend.files / f"{network}.{backend.ending}") for network in NETWORKS]
    argv = [python_of(backend.runtime), "-c", script, backend.runtime, *paths]
    variables = {**os.environ, "PYTHONPATH": str(tmp_path / "agent.pyz")}
    done = subprocess.run(argv, env=variables, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for network, line in zip(NETWORKS, done.stdout.splitlines(), strict=True):
        expected = [[[[1, *array.shape[1:]], "float32"]] for array in backend.arrays(network)]
        assert json.loads(line) == [backend.runtime, "cpu", *expected]


@pytest.mark.parametrize(("runtime", "ending"), BACKENDS, ids="-".join)
def test_too_little_memory_is_out_of_memory(runtime: str, ending: str, tmp_path: Path, files: Path) -> None:
    """Of an agent of its own: what an agent has freed, its children may use beyond their limit."""
    with started(runtime, ending, tmp_path / "agent", files) as backend:
        job = backend.push(backend.content("subnet"))
        record = backend.session.measure(job, TimingProtocol(memory_limit_mib=0.05))
        assert record["error"]["kind"] in ("out_of_memory", "crash")
        assert "error" not in backend.session.measure(job, QUICK)


def test_the_agent_stays_single_threaded(backend: Backend) -> None:
    """What it imported started no thread in it: a fork would leave that thread's locks held for ever."""
    backend.session.measure(backend.push(backend.content("conv_chain")), QUICK)
    status = Path(f"/proc/{backend.stream.pid}/status").read_text()
    assert "\nThreads:\t1\n" in status


@pytest.mark.parametrize("ending", ["pt2", "pt"])
def test_where_torch_is_missing_its_files_are_refused(files: Path, tmp_path: Path, ending: str) -> None:
    with AgentSession(start(python_of("tflite-runtime"), tmp_path), "small") as session:
        sha = session.put_blob((files / f"conv_chain.{ending}").read_bytes())
        with pytest.raises(DeviceError, match="no_runtime.*torch cannot be imported.*pip install torch"):
            session.measure(MeasureJob(model_sha=sha), QUICK)
        assert "torch" not in session.agent["runtimes"]


def test_a_broken_torch_ends_no_agent(files: Path, tmp_path: Path) -> None:
    """It dies while it is imported, as with instructions the CPU does not know; the child that tried it tells."""
    (tmp_path / "site" / "torch").mkdir(parents=True)
    (tmp_path / "site" / "torch" / "__init__.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    stream = start(sys.executable, tmp_path, PYTHONPATH=str(tmp_path / "site"))
    with AgentSession(stream, "bench") as session:
        sha = session.put_blob((files / "conv_chain.pt2").read_bytes())
        for _ in range(2):
            with pytest.raises(DeviceError, match="torch cannot be imported .*SIGILL"):
                session.measure(MeasureJob(model_sha=sha), QUICK)
        assert "SIGILL" in session.facts()["runtimes"]["torch"]["error"]
        small = session.put_blob((files / "conv_chain.tflite").read_bytes())
        assert "error" not in session.measure(MeasureJob(model_sha=small), QUICK)


def test_tensorflow_is_taken_only_where_nothing_else_works(tmp_path: Path) -> None:
    with AgentSession(start(python_of("tensorflow"), tmp_path), "desk") as session:
        assert session.agent["runtime"] == "tensorflow"
    (tmp_path / "site" / "tensorflow").mkdir(parents=True)
    (tmp_path / "site" / "tensorflow" / "__init__.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w').close()")
    stream = start(sys.executable, tmp_path / "other", PYTHONPATH=str(tmp_path / "site"))
    with AgentSession(stream, "desk") as session:
        assert session.agent["runtime"] == "ai-edge-litert" and "tensorflow" in session.agent["runtimes"]
        assert "torch" in session.agent["runtimes"], "found, but not imported before it is needed"
    assert not (tmp_path / "imported").exists()


def test_a_forced_runtime_that_is_missing_is_not_replaced(files: Path, tmp_path: Path) -> None:
    with AgentSession(start(sys.executable, tmp_path, "--runtime", "tflite-runtime"), "bench") as session:
        assert session.agent["runtime"] is None and "tflite-runtime" in session.agent["runtime_error"]
        sha = session.put_blob((files / "conv_chain.tflite").read_bytes())
        with pytest.raises(DeviceError, match="no_runtime.*tflite-runtime.*pip install tflite-runtime"):
            session.measure(MeasureJob(model_sha=sha), QUICK)


def test_an_unknown_runtime_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "agent.pyz").write_bytes(build_agent_zipapp())
    argv = [sys.executable, str(tmp_path / "agent.pyz"), "--home", str(tmp_path / "home"), "--runtime", "caffe"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert "--runtime must be one of ai-edge-litert, tflite-runtime, tensorflow, got 'caffe'" in done.stderr
    assert not (tmp_path / "home").exists()
