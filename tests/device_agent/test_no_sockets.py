"""The agent connects to nothing: neither it nor what it starts holds a socket, whatever it is asked to do."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from edgewright.device_agent.timing import TimingProtocol
from edgewright.devices import AgentSession, MeasureJob
from edgewright.devices.deployment.zipapp import build_agent_zipapp
from edgewright.devices.local import LocalStream, LocalTransport

TABLES = ("tcp", "tcp6", "udp", "udp6", "udplite", "raw", "raw6", "unix", "netlink", "packet")


def socket_inodes(pid: int) -> set[str]:
    """The sockets among a process's descriptors, by inode; none once the process has gone."""
    found = set()
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            if target.startswith("socket:["):
                found.add(target[len("socket:[") : -1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def table_of(pid: int, inode: str) -> str:
    """Which kind of socket it is, from the tables of the process's network namespace."""
    for table in TABLES:
        path = Path(f"/proc/{pid}/net/{table}")
        if path.exists() and any(inode in line.split() for line in path.read_text().splitlines()):
            return table
    return "unknown"


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *(member for child in children for member in family(int(child)))]


class Watch:
    """Looks at a process and its descendants over and over, in a thread, until it is stopped."""

    def __init__(self, pid: int) -> None:
        self.sockets: set[str] = set()
        self.seen: set[int] = set()
        self.rounds = 0
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.is_set():
            for pid in family(self._pid):
                self.seen.add(pid)
                self.sockets |= {f"{table_of(pid, inode)} in {pid}" for inode in socket_inodes(pid)}
            self.rounds += 1
            self._stop.wait(0.002)

    def sees(self, n_processes: int, n_rounds: int = 0) -> bool:
        return len(self.seen) >= n_processes and self.rounds >= n_rounds

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=20)


def measure_until(watch: Watch, session: AgentSession, job: MeasureJob, ms: float) -> None:
    """Three times, and as often again as a busy machine takes to look at the agent and three of its children."""
    for n_measured in range(50):
        if n_measured >= 3 and watch.sees(4, n_rounds=21):
            return
        assert "error" not in session.measure(job, TimingProtocol(min_time_ms=ms, max_time_ms=ms))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., LocalStream]]:
    """Starts an agent from the zipapp, or any other argument list."""
    streams: list[LocalStream] = []

    def start_it(*argv: str) -> LocalStream:
        (tmp_path / "agent.pyz").write_bytes(build_agent_zipapp())
        agent = (sys.executable, str(tmp_path / "agent.pyz"), "--home", str(tmp_path / "home"))
        streams.append(LocalTransport(tmp_path).open_stream(argv or agent))
        return streams[-1]

    yield start_it
    for stream in streams:
        stream.kill()


def test_the_agent_and_its_children_hold_no_socket(start: Callable[..., LocalStream], small_model: bytes) -> None:
    stream = start()
    watch = Watch(stream.pid)  # from before the handshake to after the end
    with AgentSession(stream, "bench") as session:
        job = MeasureJob(model_sha=session.put_blob(small_model))
        measure_until(watch, session, job, 100)
        session.run(job, np.zeros((8, 32, 32, 16), np.float32))
        session.deliver(hashlib.sha256(small_model).hexdigest(), "model.tflite")
        session.facts()
        session.health()
    watch.stop()
    assert watch.sockets == set()
    assert watch.sees(4, n_rounds=21), "the agent and the children of its measurements were looked at"


def test_the_agent_and_its_children_hold_no_socket_with_torch(start: Callable[..., LocalStream]) -> None:
    import torch

    from tests.device_agent.runtimes.torch_files import exported

    model, stream = exported(torch.nn.ReLU(), torch.zeros(1, 4)), start()
    watch = Watch(stream.pid)
    with AgentSession(stream, "bench") as session:
        job = MeasureJob(model_sha=session.put_blob(model))
        measure_until(watch, session, job, 50)
    watch.stop()
    assert watch.sockets == set() and watch.sees(4)


@pytest.mark.parametrize(
    ("make", "table"),
    [
        ("kept = socket.create_server(('127.0.0.1', 0))", "tcp"),
        ("kept = socket.socket(type=socket.SOCK_DGRAM); kept.bind(('127.0.0.1', 0))", "udp"),
        ("kept = socket.socketpair()", "unix"),
    ],
)
def test_the_watch_sees_a_socket_of_a_grandchild(start: Callable[..., LocalStream], make: str, table: str) -> None:
    """What the tests above rely on."""
    inner = f"import socket, time; {make}; print('open', flush=True); time.sleep(60)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    stream = start(sys.executable, "-c", outer)
    assert stream.read(4, 30.0) == b"open"
    watch = Watch(stream.pid)
    for _ in range(1000):
        if watch.sockets:
            break
        threading.Event().wait(0.01)
    watch.stop()
    assert {entry.split()[0] for entry in watch.sockets} == {table}
