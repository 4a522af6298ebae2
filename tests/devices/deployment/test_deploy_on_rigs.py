"""The same promises on every kind of device: a machine over SSH that has a runtime, a desktop and an arm64 board that
have none, and a phone.

Deployed files are private to the user and sent once; an interrupted push leaves nothing; removal also ends what still
ran. Devices are emulated, which is slow, so a test continues with what the one before it deployed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from edgewright.device_agent.timing import TimingProtocol
from edgewright.devices import Device, MeasureJob, Registry, connect, open_session
from edgewright.devices.deployment.deploy import Deployed, DeployOptions, agent_status, deploy, remove_agent
from edgewright.devices.transport import Transport
from edgewright.errors import DeviceError, InputError

from tests.devices.campaign_bench import wait_for
from tests.marks import sweep
from tests.rigs.client import ClientHome, rig_root
from tests.rigs.fault_proxy import Direction, FaultProxy
from tests.rigs.fixtures import running
from tests.rigs.sshd import SshdRig

pytestmark = pytest.mark.timeout(600)
RIGS = {"ssh": "ssh_rig", "desktop": "desktop_rig", "board": "board_rig", "phone": "phone_rig"}
LONG = TimingProtocol(min_time_ms=120_000, max_time_ms=120_000, timeout_s=200)
# Everything of the user's in the places they may write to, by name. Other users' files are not ours: on the rig over
# SSH /tmp is this machine's. Android's home is /, below which -xdev leaves /proc out.
_TRACES = 'find "${1%/*}" "${HOME:-/}" /tmp -xdev -user "$(id -u)" 2>/dev/null | sort -u'


@dataclass
class Place:
    """A device under test, and all that was on it before anything of ours."""

    kind: str
    rig: Any
    device: Device
    workspace: Path
    transport: Transport
    before: str = ""

    @property
    def takes_a_bundle(self) -> bool:
        return self.kind != "ssh"

    def deploy(self) -> Deployed:
        return deploy(self.transport, self.device.name, rig_root() / "bundles")

    def sh(self, script: str) -> str:
        done = self.transport.run(["sh", "-c", script, "sh", self.transport.agent_dir], 120)
        assert done.returncode == 0, done
        return done.stdout.decode().strip()

    def traces(self) -> str:
        return self.sh(_TRACES)

    def halves(self) -> list[str]:
        """Files of pushes that did not end."""
        names = self.sh('ls -A "$1"').split()
        return [name for name in names if name.startswith((".edgewright-", ".bundle-"))]

    def running(self) -> list[tuple[str, ...]]:
        """Argument lists of the processes that have to do with what is deployed."""
        found = self.rig.processes()
        argvs = found.values() if isinstance(found, dict) else [process.argv for process in found]
        return [tuple(argv) for argv in argvs if any(self.transport.agent_dir in word for word in argv)]

    def agents(self) -> list[tuple[str, ...]]:
        """Agents and what they measure in, without the shells that started them."""
        return [argv for argv in self.running() if any(word.endswith(".pyz") for word in argv)]


@pytest.fixture(scope="module")
def desk(rig_client: ClientHome) -> Iterator[ClientHome]:
    """This process lives in the rigs' home for as long as their deployments are shared."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in rig_client.env.items():
            patch.setenv(name, value)
        for name in ("SSH_AUTH_SOCK", "ADB_VENDOR_KEYS", "ANDROID_SERIAL"):
            patch.delenv(name, raising=False)
        yield rig_client


@pytest.fixture(scope="module")
def desktop_rig(rig_client: ClientHome) -> Iterator[SshdRig]:
    """Its only Python is the system's, which has no numpy."""
    with running(lambda: SshdRig(rig_client, ["SetEnv PATH=/usr/local/bin:/usr/bin:/bin"])) as rig:
        yield rig


@pytest.fixture(scope="module", params=["ssh", "desktop", sweep("board"), sweep("phone")])
def place(
    request: pytest.FixtureRequest, desk: ClientHome, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    rig = request.getfixturevalue(RIGS[request.param])
    workspace = tmp_path_factory.mktemp("workspace")
    device = Registry(workspace).add("the-device", rig.uri)
    here = Place(request.param, rig, device, workspace, connect(device, workspace))
    remove_agent(here.transport, device.name)
    here.before = here.traces()
    yield here
    remove_agent(here.transport, device.name)
    here.transport.close()


@contextmanager
def behind_a_proxy(place: Place, desk: ClientHome) -> Iterator[tuple[Transport, FaultProxy]]:
    """Another way to the same device, through a proxy."""
    with FaultProxy("127.0.0.1", place.rig.port) as proxy:
        uri = place.rig.uri.replace(f":{place.rig.port}", f":{proxy.port}")
        if place.kind in ("ssh", "desktop"):
            desk.add_known_host(f"[127.0.0.1]:{proxy.port} {place.rig.host_key()}")
        elif place.kind == "board":
            desk.add_known_host(place.rig.host_key_line.replace(f":{place.rig.port} ", f":{proxy.port} "))
        transport = connect(replace(place.device, uri=uri), place.workspace)
        try:
            yield transport, proxy
        finally:
            transport.close()
            if place.kind == "phone":
                place.rig.server.unplug(f"127.0.0.1:{proxy.port}")  # the ADB server would look for it for ever


def cut_the_push(transport: Transport, proxy: FaultProxy, name: str, patch: pytest.MonkeyPatch) -> list[str]:
    """Break the link when half of the file whose path contains `name` is there. Returns: what was struck, as it is."""
    push, struck = transport.push, []

    def cut(source: Path, target: str, mode: int = 0o600) -> None:
        if name in target:
            struck.append(target)
            proxy.cut_after(source.stat().st_size // 2, Direction.UP)
        push(source, target, mode)

    patch.setattr(transport, "push", cut)
    return struck


def test_a_deployment_that_was_cut_is_repeated(
    place: Place, desk: ClientHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing counts as deployed until all of it is there, and the next deployment takes away what the cut one left."""
    remove_agent(place.transport, "the-device")
    with behind_a_proxy(place, desk) as (transport, proxy):
        name = "/.bundle-" if place.takes_a_bundle else "/agent-"
        struck = cut_the_push(transport, proxy, name, monkeypatch)
        with pytest.raises(DeviceError, match="the-device"):
            deploy(transport, "the-device", rig_root() / "bundles")
        assert len(struck) == 1 and name in struck[0]
    assert agent_status(place.transport, "the-device").deployment is None
    if place.kind != "phone":  # adbd itself removes what it was not given whole; sshd does not
        assert place.halves()
    assert place.deploy().deployment.runtime == "ai-edge-litert"
    assert place.halves() == []


def test_the_folder_is_the_users_alone(place: Place) -> None:
    place.deploy()
    modes = dict(
        reversed(line.split(" ", 1)) for line in place.sh('find "$1" ! -type l -exec stat -c "%a %n" {} +').split("\n")
    )
    assert modes[place.transport.agent_dir] == "700"
    assert {name: mode for name, mode in modes.items() if not mode.endswith("00")} == {}
    assert place.sh('find "$1" -type l') == "", "a link could lead out of it"


def test_a_second_deployment_sends_nothing(place: Place) -> None:
    first = place.deploy()
    again = place.deploy()
    assert again.sent == () and again.sent_bytes == 0
    assert again.deployment == first.deployment and again.canary_ms > 0


def test_removing_ends_a_session_that_measures(place: Place, small_model: bytes) -> None:
    """Its agent goes too, and so the session ends with a sentence instead of a measurement from nowhere."""
    place.deploy()
    session = open_session(place.device, place.workspace)
    job = MeasureJob(model_sha=session.put_blob(small_model))
    errors: list[DeviceError] = []
    measuring = in_thread(lambda: session.measure(job, LONG), errors)
    wait_for(lambda: len(place.agents()) >= 2, "an agent with a child that measures", 60)
    assert remove_agent(place.transport, "the-device")
    measuring.join(timeout=60)
    assert not measuring.is_alive(), "the session hangs"
    session.close()
    assert len(errors) == 1 and "its agent ended during measure" in str(errors[0])
    wait_for(lambda: not place.running(), "the agent and its child to end")
    assert place.traces() == place.before


def test_removing_leaves_nothing(place: Place) -> None:
    place.deploy()
    with open_session(place.device, place.workspace) as session:
        delivered = session.deliver(session.put_blob(b"a model"), "model.tflite")
    assert delivered["path"] in place.traces().split("\n")
    assert remove_agent(place.transport, "the-device")
    assert place.traces() == place.before
    wait_for(lambda: not place.running(), "the agent to end")
    assert not remove_agent(place.transport, "the-device"), "there is nothing more to remove"


def test_a_runtime_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match="`runtime` is one of ai-edge-litert, tflite-runtime, tensorflow; got 'bogus'"):
        DeployOptions(runtime="bogus")


def in_thread(action: Callable[[], object], errors: list[DeviceError]) -> threading.Thread:
    """Its `DeviceError` goes into `errors`; there is none when the action succeeds."""

    def run() -> None:
        try:
            action()
        except DeviceError as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread
