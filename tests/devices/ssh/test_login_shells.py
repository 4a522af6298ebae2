"""A device whose user has another login shell than sh, and one that prints a greeting wherever it can."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from edgewright.devices.connect import connect
from edgewright.devices.probe.device import probe_device
from edgewright.devices.registry import Device
from edgewright.devices.transport import Transport
from edgewright.errors import DeviceError
from edgewright.testing.transports import TransportContract

from tests.marks import sweep
from tests.rigs.client import ClientHome, RigUnavailable, rig_root
from tests.rigs.desk import Desk
from tests.rigs.fixtures import require
from tests.rigs.sshd import SshdRig

# With the startup files that each reads when sshd starts it for a command; dash is the other rigs' shell.
GREETING = "echo welcome to this board\necho 'warning: setlocale' >&2\nprintf 'no line end\\0'\n"
SHELLS = {
    "bash": {".bashrc": GREETING},
    "zsh": {".zshenv": GREETING},
    "fish": {".config/fish/config.fish": GREETING},
    "tcsh": {".tcshrc": "echo welcome to this board\n"},
    "busybox ash": {},
}


@dataclass(frozen=True)
class Shell:
    name: str
    rig: SshdRig

    @property
    def greets(self) -> bool:
        return bool(SHELLS[self.name])


@pytest.fixture(scope="module", params=[name if name == "tcsh" else sweep(name) for name in SHELLS])
def shell(request: pytest.FixtureRequest, rig_client: ClientHome) -> Iterator[Shell]:
    path = require(lambda: _path(request.param))
    # OpenSSH's server as a program of its own is started by the login shell; Debian sets it up so.
    settings = ["Subsystem sftp /usr/lib/openssh/sftp-server"]
    with require(lambda: SshdRig(rig_client, settings, shell=path)) as rig:
        for name, text in SHELLS[request.param].items():
            file = rig.home / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        yield Shell(request.param, rig)


def _path(name: str) -> str:
    program, *applet = name.split()
    path = shutil.which(program)
    if path is None:
        raise RigUnavailable(f"there is no {program} on this machine", f"apt-get install {program}")
    if not applet:
        return path
    link = rig_root() / applet[0]  # busybox is what it is called as
    link.unlink(missing_ok=True)
    link.symlink_to(path)
    return str(link)


@pytest.mark.sweep
class TestLoginShells(TransportContract):
    @pytest.fixture
    def open_transport(self, shell: Shell, rig_env: None, tmp_path: Path) -> Callable[[], Transport]:
        return lambda: connect(Device("the-device", shell.rig.uri), tmp_path / "workspace")


def test_a_greeting_is_no_part_of_what_the_device_says(shell: Shell, desk: Desk) -> None:
    desk.trust(shell.rig)
    transport = desk.connect(shell.rig.uri)
    assert transport.run(["uname", "-m"], 30).stdout == os.uname().machine.encode() + b"\n"
    report = probe_device(transport)
    assert report.machine == os.uname().machine and report.kernel == os.uname().release
    assert transport.agent_dir == f"{shell.rig.home}/.edgewright"


def test_a_user_who_may_run_nothing_is_told_apart(rig_client: ClientHome, desk: Desk) -> None:
    with require(lambda: SshdRig(rig_client, shell="/usr/sbin/nologin")) as rig:
        desk.trust(rig)
        transport = desk.connect(rig.uri)
        with pytest.raises(
            DeviceError, match="its login shell did not start uname; it said 'This account is"
        ):
            transport.run(["uname"], 30)


def test_a_terminal_that_changes_line_ends_is_told(rig_client: ClientHome, desk: Desk) -> None:
    """As a ForceCommand does that runs everything in a terminal of its own."""
    force = (
        "ForceCommand case $SSH_ORIGINAL_COMMAND in internal-sftp) exec /usr/lib/openssh/sftp-server;; esac; "
        'sh -c "$SSH_ORIGINAL_COMMAND" | sed "s/$/\\r/"'
    )
    with require(lambda: SshdRig(rig_client, [force])) as rig:
        desk.trust(rig)
        transport = desk.connect(rig.uri)
        with pytest.raises(DeviceError, match="its shell changes line ends, as a terminal does"):
            transport.run(["uname"], 30)
