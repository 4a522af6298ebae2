from __future__ import annotations

import importlib.util
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edgewright.devices import AgentSession, SessionLimits
from edgewright.devices.deployment.zipapp import cached_agent
from edgewright.devices.local import LocalStream, LocalTransport

_TINY_MODELS = Path(__file__).parents[1] / "device_agent" / "tiny_models.py"


def _tiny_model(name: str) -> Callable[..., bytes]:
    spec = importlib.util.spec_from_file_location("tiny_models", _TINY_MODELS)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: Callable[..., bytes] = getattr(module, name)
    return made


@pytest.fixture(scope="session")
def small_model() -> bytes:
    return _tiny_model("conv_chain")(size=32, channels=16, depth=4)


@pytest.fixture(scope="session")
def three_ends() -> bytes:
    """Three inputs and outputs of different shapes and types."""
    return _tiny_model("three_ends")()


@pytest.fixture(scope="session")
def slow_model() -> bytes:
    return _tiny_model("conv_chain")(size=128, channels=64, depth=8)


@pytest.fixture(scope="session")
def hungry_model() -> bytes:
    return _tiny_model("conv_chain")(size=1024, channels=64, depth=2, in_channels=1)


@pytest.fixture
def start_agent(tmp_path: Path) -> Iterator[Callable[..., tuple[AgentSession, LocalStream]]]:
    """Starts agents from the zipapp, away from the repository, and ends what a test leaves running."""
    streams: list[LocalStream] = []

    def start(*options: str, limits: SessionLimits | None = None) -> tuple[AgentSession, LocalStream]:
        argv = [sys.executable, str(cached_agent(tmp_path)), "--home", str(tmp_path / "home"), *options]
        streams.append(LocalTransport(tmp_path).open_stream(argv))
        return AgentSession(streams[-1], "bench", limits), streams[-1]

    yield start
    for stream in streams:
        stream.kill()


@pytest.fixture
def session(start_agent: Callable[..., tuple[AgentSession, LocalStream]]) -> Iterator[AgentSession]:
    opened, _ = start_agent()
    with opened:
        yield opened


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Processes:
    """Looks at other processes through /proc."""

    children = staticmethod(_children)
    is_running = staticmethod(_is_running)

    @staticmethod
    def wait_for(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true in time"
            time.sleep(0.02)


@pytest.fixture
def processes() -> Processes:
    return Processes()


@pytest.fixture
def crash_child(processes: Processes) -> Iterator[Callable[[int], None]]:
    """Sends SIGSEGV to the next child of a process, from a thread."""
    threads: list[threading.Thread] = []

    def crash(agent: int, number: signal.Signals = signal.SIGSEGV) -> None:
        def watch() -> None:
            processes.wait_for(lambda: _children(agent))
            os.kill(_children(agent)[0], number)

        threads.append(threading.Thread(target=watch, daemon=True))
        threads[-1].start()

    yield crash
    for thread in threads:
        thread.join(timeout=20)
