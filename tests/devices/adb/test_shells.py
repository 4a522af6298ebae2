"""A phone whose shell has something to say, as a vendor's may: none of it gets into what is read from the phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from edgewright.devices.connect import connect
from edgewright.devices.probe.device import probe_device
from edgewright.devices.registry import Device
from edgewright.devices.transport import Completed, Transport
from edgewright.errors import DeviceError
from edgewright.testing.transports import TransportContract

from tests.marks import sweep
from tests.rigs.fixtures import running

if TYPE_CHECKING:
    from tests.rigs.phone import AdbServer, PhoneRig

# Only what adbd starts speaks, as where a shell's startup file is to blame.
SPEAKS = r"""#!/system/bin/quiet-sh
[ -z "$SPOKEN" ] || exec /system/bin/quiet-sh "$@"
export SPOKEN=1
echo welcome to this phone; echo 'WARNING: linker: unused DT entry' >&2; printf 'no line end\0'; printf '\0' >&2
"""
SHELLS = {
    "speaks before": SPEAKS + 'exec /system/bin/quiet-sh "$@"\n',
    "speaks before and after": SPEAKS + '/system/bin/quiet-sh "$@"\ncode=$?; echo bye; echo bye >&2; exit $code\n',
}


@pytest.fixture(scope="module")
def talkative_rig(adb_server: AdbServer) -> Iterator[PhoneRig]:
    from tests.rigs.phone import PhoneRig

    with running(lambda: PhoneRig(adb_server, "EMU-TALKS")) as rig:
        shell = rig.root / "system/bin/sh"
        shell.rename(shell.with_name("quiet-sh"))
        speak(rig, "speaks before")
        yield rig


def speak(rig: PhoneRig, shell: str) -> None:
    path = rig.root / "system/bin/sh"
    path.write_text(SHELLS[shell])
    path.chmod(0o755)


@pytest.fixture
def open_phone(talkative_rig: PhoneRig, rig_env: None, tmp_path: Path) -> Callable[[], Transport]:
    return lambda: connect(Device("the-device", talkative_rig.uri), tmp_path / "workspace")


class TestTalkativePhone(TransportContract):
    @pytest.fixture(params=[sweep("speaks before")])
    def open_transport(
        self, request: pytest.FixtureRequest, talkative_rig: PhoneRig, open_phone: Callable[[], Transport]
    ) -> Callable[[], Transport]:
        speak(talkative_rig, request.param)
        return open_phone


@pytest.fixture(params=list(SHELLS))
def phone(
    request: pytest.FixtureRequest, talkative_rig: PhoneRig, open_phone: Callable[[], Transport]
) -> Iterator[Transport]:
    speak(talkative_rig, request.param)
    transport = open_phone()
    yield transport
    transport.close()


@pytest.mark.parametrize("code", [0, 3, 127])
def test_what_the_shell_says_is_no_part_of_a_commands_outputs(phone: Transport, code: int) -> None:
    done = phone.run(["sh", "-c", rf"printf 'out\0\n\r\n'; printf 'err\0' >&2; exit {code}"], 30)
    assert done == Completed(code, b"out\0\n\r\n", b"err\0")
    assert phone.run(["true"], 30) == Completed(0, b"", b"")


def test_what_the_shell_says_first_is_no_part_of_a_stream(phone: Transport) -> None:
    stream = phone.open_stream(["sh", "-c", "echo problem >&2; cat"])
    stream.write(b"hello\0\n", 30)
    data = b""
    while len(data) < 7:
        data += stream.read(100, 30)
    assert data == b"hello\0\n" and stream.stderr_tail() == "problem"
    stream.kill()


def test_files_and_facts_are_as_from_a_silent_phone(phone: Transport, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"model")
    phone.push(tmp_path / "m", "/data/local/tmp/m", 0o640)
    assert phone.run(["ln", "-sf", "m", "/data/local/tmp/link"], 30).returncode == 0
    phone.pull("/data/local/tmp/link", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"model"
    assert probe_device(phone).machine == "aarch64"


def test_a_command_that_hangs_is_ended_under_such_a_shell_too(phone: Transport) -> None:
    with pytest.raises(DeviceError, match="sleep did not end within 1 s"):
        phone.run(["sleep", "86405"], 1)
    script = 'cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" "\\n"'
    assert b"\n86405\n" not in phone.run(["sh", "-c", script], 30).stdout
