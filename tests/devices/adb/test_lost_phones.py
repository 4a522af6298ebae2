"""A real phone that restarts or is locked, and a real adb server that is killed or freezes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from edgewright.devices.adb.transport import AdbTransport, attached_phones, connect_adb
from edgewright.devices.registry import parse_uri
from edgewright.errors import DeviceError

if TYPE_CHECKING:
    from tests.rigs.phone import AdbServer, PhoneRig


def test_a_phone_that_restarts_ends_its_streams_and_is_reached_again(phone_rig: PhoneRig, phone: AdbTransport) -> None:
    stream = phone.open_stream(["cat"])
    stream.write(b"x", 30)
    assert stream.read(1, 30) == b"x"
    phone_rig.kill_adbd()
    assert stream.read(1, 10) == b""
    assert stream.ending().startswith("the connection to the phone was lost")
    with pytest.raises(DeviceError, match=f"phone.*{phone_rig.serial}"):
        phone.run(["true"], 10)
    phone_rig.restart()
    assert reached_again(phone_rig).run(["echo", "back"], 30).stdout == b"back\n"


def reached_again(rig: PhoneRig) -> AdbTransport:
    """As soon as adb has found the phone again, which takes it up to some seconds."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return connect_adb(parse_uri(rig.uri), "pixel")
        except DeviceError:
            assert time.monotonic() < deadline, "the phone is not reached again"
            time.sleep(0.2)


def test_a_killed_server_ends_its_streams_and_is_started_again(
    phone_rig: PhoneRig, adb_server: AdbServer, phone: AdbTransport
) -> None:
    stream = phone.open_stream(["cat"])
    stream.write(b"x", 30)
    assert stream.read(1, 30) == b"x"
    adb_server.kill()
    assert stream.read(1, 10) == b""
    assert "lost" in stream.ending()
    assert reached_again(phone_rig).run(["echo", "back"], 30).stdout == b"back\n"


def test_a_frozen_server_is_given_up_on(adb_server: AdbServer, phone: AdbTransport, tmp_path: Path) -> None:
    """A black hole: it is there, and nothing comes back."""
    stream = phone.open_stream(["cat"])
    (tmp_path / "m").write_bytes(b"model")
    [pid] = server_pids(adb_server)
    os.kill(pid, signal.SIGSTOP)
    started = time.monotonic()
    try:
        with pytest.raises(DeviceError, match="did not answer"):
            phone.run(["true"], 1)
        with pytest.raises(DeviceError, match="did not answer"):
            attached_phones(timeout_s=1)
        stream.kill()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert time.monotonic() - started < 30
    assert phone.run(["echo", "back"], 30).stdout == b"back\n"


def server_pids(server: AdbServer) -> list[int]:
    port = f"tcp:(localhost:)?{server.client.adb_port}"
    pattern = f"{port} (server nodaemon|fork-server)"  # the rig's own, or the one that was started in its place
    found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def test_a_locked_phone_is_refused_until_its_owner_agrees(locked_phone_rig: PhoneRig, rig_env: dict[str, str]) -> None:
    address = parse_uri(locked_phone_rig.uri)
    locked_phone_rig.plug()
    try:
        assert locked_phone_rig.state == "unauthorized"
        with pytest.raises(DeviceError, match=r"has not allowed this computer.*unlock it, accept the dialog"):
            connect_adb(address, "pixel")
        locked_phone_rig.authorise()
        assert reached_again(locked_phone_rig).run(["echo", "hello"], 30).stdout == b"hello\n"
        locked_phone_rig.revoke()
        with pytest.raises(DeviceError, match="has not allowed this computer"):
            connect_adb(address, "pixel")
    finally:
        locked_phone_rig.unplug()
