"""A real adbd, reached through a real adb server."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from edgewright.devices.adb.sync import SyncSession
from edgewright.devices.adb.transport import AdbTransport, attached_phones, connect_adb
from edgewright.devices.registry import Address, parse_uri
from edgewright.devices.transport import Completed, Stream
from edgewright.errors import DeviceError, InputError

from tests.rigs.fixtures import running

if TYPE_CHECKING:
    from tests.rigs.phone import AdbServer, PhoneRig

STRANGE_NAMES = ["a b", "it's", 'say "x"', "$(touch pwned)", "a,0777", "a\nb", "é;*", "-rf", "x" * 255]


@contextmanager
def small_phone(server: AdbServer, name: str) -> Iterator[PhoneRig]:
    """One more phone, with a small disk."""
    from tests.rigs.phone import PhoneRig

    with running(lambda: PhoneRig(server, name, disk_mib=16)) as rig:
        yield rig


@pytest.fixture
def folder(phone: AdbTransport) -> Iterator[str]:
    """A folder on the phone for one test."""
    path = "/data/local/tmp/test-transport"
    assert phone.run(["mkdir", "-p", path], 30).returncode == 0
    yield path
    phone.run(["rm", "-rf", path], 30)


def read_to_end(stream: Stream) -> bytes:
    parts = []
    while part := stream.read(1 << 20, 30):
        parts.append(part)
    return b"".join(parts)


def names_in(phone: AdbTransport, folder: str) -> list[str]:
    """What is in a folder, links and hidden files too; `ls` would print some names as something else."""
    script = 'cd "$1" && for f in .[!.]* *; do { [ -e "$f" ] || [ -L "$f" ]; } && printf "%s\\0" "$f"; done; true'
    done = phone.run(["sh", "-c", script, "sh", folder], 30)
    assert done.returncode == 0, done
    return sorted(done.stdout.decode().split("\0")[:-1])


def runs(phone: AdbTransport, mark: str) -> bool:
    """Whether any process on the phone has `mark` as an argument; asked of its /proc."""
    script = 'for p in /proc/[0-9]*; do [ "$p" = "/proc/$$" ] || tr "\\0" "\\n" < "$p/cmdline"; done 2>/dev/null'
    return mark in phone.run(["sh", "-c", script], 30).stdout.decode(errors="replace").split("\n")


def wait_until(holds: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.1)


def wait_until_gone(phone: AdbTransport, mark: str) -> None:
    wait_until(lambda: not runs(phone, mark), f"sleep {mark} lives on")


# --- run ---


@pytest.mark.parametrize("code", [0, 1, 3, 126, 255])
def test_run_gives_the_true_exit_code_and_both_outputs(phone: AdbTransport, code: int) -> None:
    assert phone.run(["sh", "-c", f"echo out; echo err >&2; exit {code}"], 30) == Completed(code, b"out\n", b"err\n")


def test_run_has_an_empty_stdin(phone: AdbTransport) -> None:
    assert phone.run(["cat"], 30) == Completed(0, b"", b"")


def test_a_program_that_is_not_there_has_the_shells_exit_code(phone: AdbTransport) -> None:
    done = phone.run(["/no/such/program"], 30)
    assert done.returncode == 127 and b"/no/such/program" in done.stderr


def test_arguments_are_data(phone: AdbTransport, folder: str) -> None:
    hostile = ["", "a b", "'", '"', f"$(touch {folder}/pwned)", f"`touch {folder}/pwned`", f"; touch {folder}/pwned",
               f"\ntouch {folder}/pwned\n", "*", "~", "\\", "é"]  # fmt: skip
    done = phone.run(["printf", "%s|", *hostile], 30)
    assert done.stdout.decode() == "|".join([*hostile, ""])
    assert names_in(phone, folder) == []


def test_a_command_longer_than_adb_can_pass_is_an_input_error(phone: AdbTransport) -> None:
    assert phone.run(["echo", "x" * 60_000], 30).stdout == b"x" * 60_000 + b"\n"
    with pytest.raises(InputError, match=r"at most 65535 bytes, this one 70\d+; pass long arguments"):
        phone.run(["echo", "x" * 70_000], 30)


def test_megabytes_on_both_outputs_at_once_come_whole(phone: AdbTransport) -> None:
    script = "head -c 8000000 /dev/zero >&2 & head -c 8000000 /dev/zero; wait"
    done = phone.run(["sh", "-c", script], 60)
    assert (len(done.stdout), len(done.stderr)) == (8_000_000, 8_000_000)


def test_a_command_that_hangs_is_ended_on_the_phone_with_what_it_started(phone: AdbTransport) -> None:
    with pytest.raises(DeviceError, match=r"device 'pixel': sh did not end within 0.5 s and was stopped"):
        phone.run(["sh", "-c", "trap '' HUP TERM; sleep 86401 & sleep 86401; echo"], 0.5)
    wait_until_gone(phone, "86401")


# --- push and pull ---


@pytest.mark.parametrize("size", [0, 1, 65536, 3_000_001])
def test_files_go_there_and_back(phone: AdbTransport, folder: str, tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    (tmp_path / "m").write_bytes(content)
    phone.push(tmp_path / "m", f"{folder}/m", 0o640)
    assert phone.run(["stat", "-c", "%a %s", f"{folder}/m"], 30).stdout == b"640 %d\n" % size
    phone.pull(f"{folder}/m", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_a_file_name_is_data(phone: AdbTransport, folder: str, tmp_path: Path, name: str) -> None:
    (tmp_path / "m").write_bytes(b"model")
    phone.push(tmp_path / "m", f"{folder}/{name}")
    assert names_in(phone, folder) == [name]
    phone.pull(f"{folder}/{name}", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"model"


def test_a_push_replaces_a_file_and_leaves_nothing_beside_it(phone: AdbTransport, folder: str, tmp_path: Path) -> None:
    for content in (b"first, which is longer", b"second"):
        (tmp_path / "m").write_bytes(content)
        phone.push(tmp_path / "m", f"{folder}/m", 0o700)
    assert phone.run(["cat", f"{folder}/m"], 30).stdout == b"second"
    assert names_in(phone, folder) == ["m"]


def test_a_push_onto_a_folder_is_refused_and_leaves_nothing(phone: AdbTransport, folder: str, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"model")
    phone.run(["mkdir", f"{folder}/taken"], 30)
    with pytest.raises(DeviceError, match=f"cannot write {folder}/taken: it is a folder; choose another name"):
        phone.push(tmp_path / "m", f"{folder}/taken")
    assert names_in(phone, folder) == ["taken"] and names_in(phone, f"{folder}/taken") == []


def test_a_push_where_the_shell_user_may_not_write_says_so(phone: AdbTransport, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"model")
    with pytest.raises(DeviceError, match=r"cannot write /system/m: .*(Permission denied|Read-only).*shell user"):
        phone.push(tmp_path / "m", "/system/m")


def test_a_push_into_a_folder_that_is_not_there_is_refused(phone: AdbTransport, folder: str, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"model")
    with pytest.raises(DeviceError, match=f"cannot write {folder}/no/m: there is no folder {folder}/no .*make it"):
        phone.push(tmp_path / "m", f"{folder}/no/m")
    assert names_in(phone, folder) == []


def test_a_push_onto_a_full_disk_says_so_and_keeps_the_old_file(
    adb_server: AdbServer, rig_env: dict[str, str], tmp_path: Path
) -> None:
    with small_phone(adb_server, "EMU-FULL") as rig:
        phone = connect_adb(parse_uri(rig.uri), "pixel")
        (tmp_path / "m").write_bytes(b"old")
        phone.push(tmp_path / "m", "/data/local/tmp/m")
        (tmp_path / "m").write_bytes(bytes(8 << 20))
        rig.fill_disk()
        with pytest.raises(DeviceError, match=r"No space left on device; free some space on the phone"):
            phone.push(tmp_path / "m", "/data/local/tmp/m")
        rig.free_disk()
        assert phone.run(["cat", "/data/local/tmp/m"], 30).stdout == b"old"
        assert names_in(phone, "/data/local/tmp") == ["m"]


class CutFile(io.RawIOBase):
    """Zeros without an end, and `cut` after the first mebibyte."""

    def __init__(self, cut: Callable[[], None]) -> None:
        self._cut, self._passed = cut, 0

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._passed += len(buffer)
        if self._passed > 1 << 20:
            self._cut()
            raise KeyboardInterrupt
        return len(buffer)


def test_a_part_of_a_push_is_closed_to_others_and_gone_when_the_connection_is_cut(
    phone: AdbTransport, folder: str
) -> None:
    modes = []

    def cut() -> None:
        wait_until(lambda: names_in(phone, folder) == ["part"], "nothing arrived")
        modes.append(phone.run(["stat", "-c", "%a", f"{folder}/part"], 30).stdout)

    with pytest.raises(KeyboardInterrupt), SyncSession(phone.serial, 30) as sync:
        sync.send(CutFile(cut), f"{folder}/part")
    assert modes == [b"0\n"]
    wait_until(lambda: names_in(phone, folder) == [], "the part lies there still")


def test_a_file_that_cannot_be_read_here_is_named(phone: AdbTransport, folder: str, tmp_path: Path) -> None:
    for source in (tmp_path / "absent", tmp_path):
        with pytest.raises(DeviceError, match=f"cannot read {source}"):
            phone.push(source, f"{folder}/m")
    assert names_in(phone, folder) == []


def test_a_pull_follows_links_and_says_what_cannot_be_pulled(phone: AdbTransport, folder: str, tmp_path: Path) -> None:
    script = 'cd "$1" && echo model > m && ln -s m link && ln -s absent dangling && echo x > secret && chmod 0 secret'
    assert phone.run(["sh", "-c", script, "sh", folder], 30).returncode == 0
    phone.pull(f"{folder}/link", tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == b"model\n"
    for name, why in (("absent", "No such file"), ("dangling", "No such file"), ("secret", "Permission denied")):
        with pytest.raises(DeviceError, match=f"cannot read {folder}/{name}: .*{why}"):
            phone.pull(f"{folder}/{name}", tmp_path / "back")
    with pytest.raises(DeviceError, match="not a regular file"):
        phone.pull(folder, tmp_path / "back")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("path", ["m", "", "/data/a\0b", "../m"])
def test_a_path_that_is_none_is_an_input_error(phone: AdbTransport, tmp_path: Path, path: str) -> None:
    (tmp_path / "m").write_bytes(b"model")
    with pytest.raises(InputError, match="a path on a phone is absolute"):
        phone.push(tmp_path / "m", path)
    with pytest.raises(InputError, match="a path on a phone is absolute"):
        phone.pull(path, tmp_path / "back")


# --- streams ---


def test_a_stream_carries_both_ways_and_ends_with_its_input(phone: AdbTransport) -> None:
    stream = phone.open_stream(["cat"])
    for message in (b"x" * 64, bytes(range(256)) * 1024):
        stream.write(message, 30)
        got = b""
        while len(got) < len(message):
            got += stream.read(1 << 20, 30)
        assert got == message
    stream.close(30)
    stream.close(30)
    assert stream.ending() == "it ended with exit code 0"


def test_eight_megabytes_of_stderr_block_nothing(phone: AdbTransport) -> None:
    script = "head -c 8000000 /dev/zero | tr '\\0' e >&2; echo last words >&2; read line; echo got $line; exit 3"
    stream = phone.open_stream(["sh", "-c", script])
    stream.write(b"hello\n", 30)
    assert read_to_end(stream) == b"got hello\n"
    assert stream.stderr_tail().endswith("last words") and len(stream.stderr_tail()) <= 8192
    assert stream.ending() == "it ended with exit code 3"


def test_a_flood_both_ways_does_not_lock_up(phone: AdbTransport) -> None:
    stream = phone.open_stream(["cat"])
    writer = threading.Thread(target=lambda: [stream.write(bytes(1 << 20), 60) for _ in range(24)])
    writer.start()
    got = 0
    while got < 24 << 20:
        got += len(stream.read(1 << 20, 60))
    writer.join(timeout=30)
    stream.close(30)


def test_both_directions_time_out(phone: AdbTransport) -> None:
    stream = phone.open_stream(["sleep", "86402"])
    with pytest.raises(TimeoutError):
        stream.read(1, 0.2)
    with pytest.raises(TimeoutError):
        for _ in range(64):
            stream.write(bytes(1 << 20), 0.5)
    assert stream.ending() == "it is still running"
    stream.kill()
    assert stream.ending() == "it was killed by SIGKILL"


def test_kill_ends_what_the_command_started(phone: AdbTransport) -> None:
    stream = phone.open_stream(["sh", "-c", "trap '' HUP; sleep 86403 & echo up; sleep 86403"])
    assert stream.read(10, 30) == b"up\n" and runs(phone, "86403")
    stream.kill()
    wait_until_gone(phone, "86403")


def test_closing_the_connection_to_the_server_ends_the_command(phone: AdbTransport) -> None:
    """What happens when this process dies without a word: adbd hangs up on the command."""
    stream = phone.open_stream(["sleep", "86404"])
    assert runs(phone, "86404")
    stream._sock.shutdown(2)
    wait_until_gone(phone, "86404")
    assert stream.ending().startswith("the connection to the phone was lost")


def test_a_round_trip_over_an_open_stream_needs_no_new_shell(phone: AdbTransport) -> None:
    stream = phone.open_stream(["cat"])
    started = time.monotonic()
    for _ in range(200):
        stream.write(b"x" * 64, 30)
        assert len(stream.read(64, 30)) > 0
    assert time.monotonic() - started < 5  # 25 ms each; a shell alone takes more
    stream.kill()


# --- which phone is meant ---


def test_two_phones_without_a_serial_are_refused_by_name(
    phone_rig: PhoneRig, adb_server: AdbServer, rig_env: dict[str, str]
) -> None:
    with small_phone(adb_server, "EMU-SECOND") as second:
        with pytest.raises(InputError) as refused:
            connect_adb(Address("adb"), "pixel")
        for rig in (phone_rig, second):
            assert f"edgewright device add NAME {rig.uri}" in str(refused.value)
            assert f"{rig.serial} (Emulated Phone, device)" in str(refused.value)


@pytest.mark.parametrize("serial", ["no such", "'\"", ";reboot", "$(reboot)", "a\nb", "host:kill", "-s", "../x"])
def test_a_strange_serial_is_an_unknown_phone(phone_rig: PhoneRig, rig_env: dict[str, str], serial: str) -> None:
    known = parse_uri(phone_rig.uri).serial
    with pytest.raises(DeviceError, match=f"no phone with serial .*attached: .*{known}"):
        connect_adb(Address("adb", serial=serial), "pixel")
    assert known in [attached.serial for attached in attached_phones()]
