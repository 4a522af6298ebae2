"""The agent connects to nothing from a phone or a board either, whatever it is asked to do.

It uses the streams that sshd or adbd gave it. Whether a process holds a TCP, UDP or raw socket is checked from outside
the device, through its descriptors on this machine.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgewright.device_agent.timing import TimingProtocol
from edgewright.devices import Device, MeasureJob, Registry, connect, open_session
from edgewright.devices.deployment.deploy import deploy, remove_agent
from edgewright.devices.transport import Transport

from tests.devices.campaign_bench import wait_for
from tests.marks import sweep
from tests.rigs.client import ClientHome, rig_root
from tests.rigs.machine import DeviceProcess

pytestmark = pytest.mark.timeout(600)
RIGS = {"board": "board_rig", "phone": "phone_rig"}
_OPEN = "import socket, time; {make}; print('open', flush=True); time.sleep(60)"
# Names the agent's file, as the agent does; its child becomes a program that does not: only descent tells whose it is.
_PARENT = """
import os, sys
if os.fork() == 0:
    os.execv("/bin/sh", ["sh", sys.argv[2], "-c", {code!r}])
os.wait()
"""


@dataclass
class Place:
    """A device that has the agent: the agent's file, and what starts the Python of its bundle."""

    rig: Any
    device: Device
    workspace: Path
    transport: Transport
    agent: str
    run: str


@pytest.fixture(scope="module", params=[sweep("board"), sweep("phone")])
def place(
    request: pytest.FixtureRequest, rig_client: ClientHome, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    rig = request.getfixturevalue(RIGS[request.param])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in rig_client.env.items():
            patch.setenv(name, value)
        for name in ("SSH_AUTH_SOCK", "ADB_VENDOR_KEYS", "ANDROID_SERIAL"):
            patch.delenv(name, raising=False)
        workspace = tmp_path_factory.mktemp("workspace")
        device = Registry(workspace).add("the-device", rig.uri)
        transport = connect(device, workspace)
        deployed = deploy(transport, device.name, rig_root() / "bundles").deployment
        folder = transport.agent_dir
        yield Place(rig, device, workspace, transport, f"{folder}/{deployed.agent}", f"{folder}/{deployed.bundle}/run")
        remove_agent(transport, device.name)
        transport.close()


class Watch:
    """Looks at a device over and over, in a thread, until it is stopped.

    `family` has the processes that name the agent's file among their arguments, and all that descend from them;
    `measurers` those of them that an agent forked. Sockets are told apart by their holders only at the end: what opened
    one before it was known to be of the family has opened it all the same. A socket that another process holds too is
    the server's: what it forks to start an agent has its sockets until it becomes the agent.
    """

    def __init__(self, rig: Any, agent: str) -> None:
        self.family: set[int] = set()
        self.measurers: set[int] = set()
        self.rounds = 0
        self._rig, self._agent = rig, agent
        self._held: dict[int, dict[str, str]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    @property
    def sockets(self) -> dict[int, set[str]]:
        """What processes of the family held, and no others."""
        held, family = list(self._held.items()), set(self.family)
        others = {inode for pid, lines in held if pid not in family for inode in list(lines)}
        mine = {pid: set(lines) - others for pid, lines in held if pid in family}
        return {pid: {self._held[pid][inode] for inode in inodes} for pid, inodes in mine.items() if inodes}

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()

    def _look(self) -> None:
        while not self._stop.is_set():
            self._count(self._rig.machine.processes())
            for pid, lines in self._rig.machine.inet_sockets().items():
                self._held.setdefault(pid, {}).update(lines)
            self._count(self._rig.machine.processes())
            self.rounds += 1
            self._stop.wait(0.01)

    def _count(self, processes: list[DeviceProcess]) -> None:
        agents = {process.pid for process in processes if self._agent in process.argv}
        self.measurers |= {process.pid for process in processes if process.pid in agents and process.parent in agents}
        family = set(agents)
        while more := {process.pid for process in processes if process.parent in family} - family:
            family |= more
        self.family |= family


def test_a_session_opens_no_socket(place: Place, small_model: bytes) -> None:
    watch = Watch(place.rig, place.agent)  # from before the agent's start to after its end
    quick = TimingProtocol(n_warmup_min=1, warmup_max_ms=5.0, n_runs=5, min_time_ms=300, max_time_ms=300, timeout_s=60)
    with open_session(place.device, place.workspace) as session:
        job = MeasureJob(model_sha=session.put_blob(small_model))
        for n_measured in range(50):  # three times, and as often again as a busy machine takes to look at them
            if n_measured >= 3 and watch.measurers and watch.rounds > 20:
                break
            assert "error" not in session.measure(job, quick)
        session.run(job, np.zeros((2, 32, 32, 16), np.float32), quick)
        session.deliver(str(job.model_sha), "model.tflite")
        session.facts()
        session.health()
    watch.stop()
    assert watch.sockets == {}
    assert len(watch.family) >= 2 and watch.measurers, "the agent and a child that measures were looked at"
    assert watch.rounds > 20


@pytest.mark.parametrize(
    ("make", "table"),
    [
        ("kept = socket.socket(); kept.bind(('127.0.0.1', 0)); kept.listen()", "tcp"),
        ("kept = socket.socket(type=socket.SOCK_DGRAM); kept.bind(('127.0.0.1', 0))", "udp"),
    ],
    ids=["tcp", "udp"],
)
def test_the_watch_sees_a_socket_of_a_descendant(place: Place, make: str, table: str) -> None:
    """What the test above relies on."""
    watch = Watch(place.rig, place.agent)

    def kinds() -> set[str]:
        return {line.split()[0] for lines in list(watch.sockets.values()) for line in list(lines)}

    code = _PARENT.format(code=_OPEN.format(make=make))
    stream = place.transport.open_stream(["sh", place.run, "-c", code, place.agent, place.run])
    try:
        assert stream.read(4, 60.0) == b"open"
        # A process of the test before this one may take its time to die: what counts is that this one is seen.
        wait_for(lambda: table in kinds(), "the watch to see the socket", 30)
    finally:
        watch.stop()
        stream.kill()
