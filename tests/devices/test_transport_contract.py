"""What every way to a device must do alike: this machine, a board over SSH, an arm64 board, and a phone over ADB.

Only tools that an Android phone has too are used on the other side.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from edgewright.devices.connect import connect
from edgewright.devices.registry import Device
from edgewright.devices.transport import Completed, Stream, Transport
from edgewright.errors import DeviceError

RIGS = {"local": None, "ssh": "ssh_rig", "board": "board_rig", "phone": "phone_rig"}
HOSTILE = [
    "", " ", "two words", "tab\there", "line\nbreak", "'", '"', "it's \"quoted\"", "$HOME", "$(touch pwned)",
    "`touch pwned`", "; touch pwned;", "&& touch pwned", "| touch pwned", "> pwned", "*", "?", "[a-z]", "{a,b}", "~",
    "#", "!", "\\", "\\n", "\\'", "%s", "-n", "--", "../../etc/passwd", "ümlaut ☃ 字", "\r", "\x01\x7f", "x" * 20_000,
]  # fmt: skip


@dataclass
class Place:
    """A device under test: a connection to it, and a folder of this test's own on it."""

    kind: str
    transport: Transport
    folder: str
    reconnect: Callable[[], Transport]

    def sh(self, script: str, *arguments: str, timeout_s: float = 60) -> Completed:
        return self.transport.run(["sh", "-c", script, "sh", *arguments], timeout_s)

    def names(self) -> list[str]:
        """What is in the folder. Not by `ls`, which may print other names than there are."""
        script = 'cd "$1" && for name in * .[!.]*; do if [ -e "$name" ]; then printf "%s/" "$name"; fi; done'
        done = self.sh(script, self.folder)
        assert done.returncode == 0, done
        return done.stdout.decode().split("/")[:-1]

    def content(self, path: str) -> bytes:
        return self.transport.run(["cat", path], 60).stdout


@pytest.fixture(params=list(RIGS))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    kind, uri = request.param, "local:"
    if RIGS[kind] is not None:
        uri = request.getfixturevalue(RIGS[kind]).uri
        request.getfixturevalue("rig_env")
    opened: list[Transport] = []

    def open_it() -> Transport:
        opened.append(connect(Device("the-device", uri), tmp_path / "workspace"))
        return opened[-1]

    transport = open_it()
    folder = f"{transport.agent_dir}/contract {secrets.token_hex(4)}"
    made = transport.run(["mkdir", "-p", folder], 60)
    assert made.returncode == 0, made
    yield Place(kind, transport, folder, open_it)
    open_it().run(["rm", "-rf", folder], 60)
    for each in opened:
        each.close()
    assert not [thread for thread in threading.enumerate() if "edgewright" in thread.name], "threads stay behind"


def read_all(stream: Stream, timeout_s: float = 60) -> bytes:
    parts = []
    while part := stream.read(1 << 16, timeout_s):
        parts.append(part)
    return b"".join(parts)


def read_exactly(stream: Stream, size: int) -> bytes:
    data = b""
    while len(data) < size and (part := stream.read(size - len(data), 60)):
        data += part
    return data


def read_line(stream: Stream) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        part = stream.read(1, 60)
        assert part, "the stream ended in the middle of a line"
        line += part
    return line


def is_running(transport: Transport, pid: int) -> bool:
    """Whether the device runs that process; one that only awaits its parent's look at it has ended."""
    state = transport.run(["cat", f"/proc/{pid}/stat"], 60).stdout.rpartition(b")")[2].split()
    return bool(state) and state[0] not in (b"Z", b"X")


def ends_soon(transport: Transport, pid: int) -> bool:
    deadline = time.monotonic() + 10
    while is_running(transport, pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


# Commands


@pytest.mark.parametrize("code", [0, 1, 3, 127, 255])
def test_run_gives_the_exit_code(place: Place, code: int) -> None:
    assert place.sh(f"exit {code}") == Completed(code, b"", b"")


def test_run_keeps_the_outputs_apart_and_whole(place: Place) -> None:
    done = place.sh(r"printf 'out\0\377\r\n'; printf 'err\n\n' >&2; exit 3")
    assert done == Completed(3, b"out\0\xff\r\n", b"err\n\n")


def test_a_command_killed_by_a_signal_is_no_success(place: Place) -> None:
    assert place.sh("kill -9 $$").returncode in (-9, -1, 137)


def test_a_full_stderr_does_not_stop_stdout(place: Place) -> None:
    done = place.sh("head -c 8000000 /dev/zero >&2; echo middle; head -c 8000000 /dev/zero >&2; echo end")
    assert done.stdout == b"middle\nend\n" and len(done.stderr) == 16_000_000


def test_large_outputs_arrive_whole(place: Place) -> None:
    done = place.sh("head -c 8000000 /dev/zero; printf end")
    assert len(done.stdout) == 8_000_003 and done.stdout.endswith(b"\0end")


def test_stdin_is_empty(place: Place) -> None:
    assert place.transport.run(["cat"], 30) == Completed(0, b"", b"")


def test_arguments_arrive_verbatim(place: Place) -> None:
    done = place.sh('cd "$1" && shift && exec printf "[%s]" "$@"', place.folder, *HOSTILE)
    assert done.stdout.decode() == "".join(f"[{argument}]" for argument in HOSTILE)
    done = place.transport.run(["printf", "[%s]", *HOSTILE], 30)
    assert done.stdout.decode() == "".join(f"[{argument}]" for argument in HOSTILE)
    assert place.names() == [], "an argument met a shell"


def test_streams_get_their_arguments_verbatim(place: Place) -> None:
    stream = place.transport.open_stream(["printf", "[%s]", *HOSTILE])
    assert read_all(stream).decode() == "".join(f"[{argument}]" for argument in HOSTILE)
    stream.close(30)


@pytest.mark.parametrize("argv", [["printf", "a\0b"], ["pri\0ntf", "a"]])
def test_a_nul_in_an_argument_is_refused(place: Place, argv: list[str]) -> None:
    with pytest.raises(ValueError):
        place.transport.run(argv, 5)
    with pytest.raises(ValueError):
        place.transport.open_stream(argv)


def test_a_command_that_is_not_there(place: Place) -> None:
    """Exit code 127 where a shell looks for it, a `DeviceError` with its name where none does: never a success."""
    try:
        assert place.transport.run(["no-such-program"], 30).returncode == 127
    except DeviceError as error:
        assert place.kind == "local" and "no-such-program" in str(error)
    try:
        stream = place.transport.open_stream(["no-such-program"])
    except DeviceError as error:
        assert place.kind == "local" and "no-such-program" in str(error)
    else:
        assert read_all(stream) == b"" and "127" in stream.ending() and "no-such-program" in stream.stderr_tail()
        stream.close(5)


def test_a_command_that_hangs_is_a_device_error_and_is_stopped(place: Place) -> None:
    pid_file = f"{place.folder}/pid"
    with pytest.raises(DeviceError, match=r"sh did not end within 1 s"):
        place.sh('echo $$ > "$1"; exec sleep 600', pid_file, timeout_s=1)
    assert ends_soon(place.transport, int(place.content(pid_file)))


def test_what_a_hanging_command_started_is_stopped_with_it(place: Place) -> None:
    pid_file = f"{place.folder}/child"
    with pytest.raises(DeviceError, match=r"sh did not end within 1 s"):
        place.sh('sleep 600 & echo $! > "$1"; wait', pid_file, timeout_s=1)
    assert ends_soon(place.transport, int(place.content(pid_file)))


def test_a_command_that_never_stops_writing_is_a_device_error(place: Place) -> None:
    with pytest.raises(DeviceError, match="did not end within 1 s"):
        place.sh("while :; do echo y; done", timeout_s=1)
    assert place.sh("echo still here").stdout == b"still here\n"


# Files


@pytest.mark.parametrize("size", [0, 1, 32768, 1_000_003])
def test_files_go_there_and_back(place: Place, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "source").write_bytes(data)
    place.transport.push(tmp_path / "source", f"{place.folder}/file")
    assert place.content(f"{place.folder}/file") == data
    place.transport.pull(f"{place.folder}/file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    assert place.names() == ["file"], "no temporary file stays"


@pytest.mark.parametrize(
    "name", ["two words", "it's", '"', "$(touch pwned)", "; touch pwned", "`x`", "new\nline", "-rf", "ü☃", "*", "\\"]
)
def test_any_file_name_is_only_a_name(place: Place, tmp_path: Path, name: str) -> None:
    (tmp_path / "source").write_bytes(b"data")
    target = f"{place.folder}/{name}"
    place.transport.push(tmp_path / "source", target)
    place.transport.pull(target, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"data"
    assert place.names() == [name]
    assert place.transport.run(["rm", target], 30).returncode == 0 and place.names() == []


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o700, 0o755, 0o400])
def test_a_pushed_file_has_the_mode_asked_for(place: Place, tmp_path: Path, mode: int) -> None:
    (tmp_path / "source").write_bytes(b"#!/bin/sh\n")
    place.transport.push(tmp_path / "source", f"{place.folder}/file", mode)
    stated = place.transport.run(["stat", "-c", "%a", f"{place.folder}/file"], 30)
    assert stated.stdout.decode().strip() == f"{mode:o}"


def test_a_pushed_file_is_private_by_default(place: Place, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    place.transport.push(tmp_path / "source", f"{place.folder}/file")
    assert place.transport.run(["stat", "-c", "%a", f"{place.folder}/file"], 30).stdout == b"600\n"


def test_push_replaces_a_file_as_a_whole(place: Place, tmp_path: Path) -> None:
    """Who has the old file open goes on reading the old one."""
    target = f"{place.folder}/file"
    (tmp_path / "old").write_bytes(b"old" * 1000)
    (tmp_path / "new").write_bytes(b"new")
    place.transport.push(tmp_path / "old", target, 0o400)
    reader = place.transport.open_stream(["sh", "-c", 'exec 3< "$1"; echo open; read x; cat <&3', "sh", target])
    assert read_exactly(reader, 5) == b"open\n"
    place.transport.push(tmp_path / "new", target)
    reader.write(b"go\n", 30)
    assert read_all(reader) == b"old" * 1000
    reader.close(30)
    assert place.content(target) == b"new" and place.names() == ["file"]


def test_push_into_a_folder_that_is_not_there(place: Place, tmp_path: Path) -> None:
    if place.kind == "local":
        pytest.skip("this machine's transport makes the folder")
    (tmp_path / "source").write_bytes(b"x")
    with pytest.raises(DeviceError) as caught:
        place.transport.push(tmp_path / "source", f"{place.folder}/no such/file")
    assert f"{place.folder}/no such" in str(caught.value) and "the-device" in str(caught.value)
    assert place.names() == []


def test_push_onto_a_folder_leaves_it_as_it_is(place: Place, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    assert place.transport.run(["mkdir", f"{place.folder}/taken"], 30).returncode == 0
    with pytest.raises((DeviceError, OSError)) as caught:
        place.transport.push(tmp_path / "source", f"{place.folder}/taken")
    assert "taken" in str(caught.value)
    assert place.names() == ["taken"] and place.sh('ls -A "$1"', f"{place.folder}/taken").stdout == b""


def test_push_of_a_file_that_is_not_there_leaves_the_old_one(place: Place, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    place.transport.push(tmp_path / "source", f"{place.folder}/file")
    with pytest.raises(DeviceError, match="absent"):
        place.transport.push(tmp_path / "absent", f"{place.folder}/file")
    assert place.content(f"{place.folder}/file") == b"x" and place.names() == ["file"]


@pytest.mark.parametrize("what", ["missing", "."])
def test_pull_of_what_is_no_file_leaves_the_old_one(place: Place, tmp_path: Path, what: str) -> None:
    (tmp_path / "back").write_bytes(b"old")
    with pytest.raises(DeviceError) as caught:
        place.transport.pull(f"{place.folder}/{what}", tmp_path / "back")
    assert f"{place.folder}/{what}".rstrip("/.") in str(caught.value)
    assert (tmp_path / "back").read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} <= {"back", "workspace"}, "no temporary file stays"


# Streams


def test_a_stream_carries_both_ways(place: Place) -> None:
    stream = place.transport.open_stream(["cat"])
    for data in (b"x", b"\0\xff\r\n\x03\x04", os.urandom(64), os.urandom(200_000)):
        writer = threading.Thread(target=stream.write, args=(data, 60))
        writer.start()
        assert read_exactly(stream, len(data)) == data
        writer.join()
    assert stream.ending() == "it is still running"
    stream.close(30)
    assert stream.ending() == "it ended with exit code 0"


def test_a_read_gives_at_most_what_was_asked_for(place: Place) -> None:
    stream = place.transport.open_stream(["sh", "-c", "printf 0123456789"])
    assert len(stream.read(3, 30)) <= 3
    stream.close(30)


def test_two_threads_write_and_read_at_once(place: Place) -> None:
    """Heartbeats are written while a reply is awaited: neither's time limit disturbs the other's."""
    stream = place.transport.open_stream(["sh", "-c", "read x; sleep 1.5; echo late; cat > /dev/null"])
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(0.05):
            stream.write(b"beat\n", 0.2)

    beats = threading.Thread(target=beat)
    beats.start()
    assert stream.read(5, 30) == b"late\n"
    stop.set()
    beats.join()
    stream.close(30)
    assert stream.ending() == "it ended with exit code 0"


def test_large_writes_arrive_whole(place: Place) -> None:
    stream = place.transport.open_stream(["sh", "-c", "sha256sum"])
    stream.write(b"\0" * 16_000_000, 60)
    stream.write(b"", 60)
    stream.close(60)
    assert stream.ending() == "it ended with exit code 0"


def test_time_limits_of_a_stream(place: Place) -> None:
    stream = place.transport.open_stream(["sh", "-c", "echo up; exec sleep 600"])
    assert read_exactly(stream, 3) == b"up\n"
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        stream.read(1, 0.3)
    with pytest.raises(TimeoutError):
        stream.read(1, 0)
    with pytest.raises(TimeoutError):
        stream.write(b"x" * 64_000_000, 0.5)
    assert time.monotonic() - began < 20, "a time limit does not hold"
    stream.kill()


@pytest.mark.parametrize("code", [0, 3, 255])
def test_the_end_of_a_stream(place: Place, code: int) -> None:
    stream = place.transport.open_stream(["sh", "-c", f"echo last words >&2; echo bye; exit {code}"])
    assert read_all(stream) == b"bye\n" and stream.read(1, 5) == b""
    assert stream.ending() == f"it ended with exit code {code}"
    assert stream.stderr_tail() == "last words"
    stream.close(5)
    assert stream.ending() == f"it ended with exit code {code}"


def test_writing_to_a_command_that_has_ended(place: Place) -> None:
    stream = place.transport.open_stream(["true"])
    assert read_all(stream) == b""
    with pytest.raises(OSError):
        for _ in range(100):
            stream.write(b"x" * 100_000, 5)
            time.sleep(0.01)
    stream.close(5)


def test_stderr_is_drained_and_its_tail_kept(place: Place) -> None:
    stream = place.transport.open_stream(["sh", "-c", "head -c 5000000 /dev/zero >&2; echo 'the end' >&2; echo done"])
    assert read_all(stream) == b"done\n"
    stream.close(30)
    assert stream.stderr_tail().endswith("the end") and len(stream.stderr_tail()) < 20_000


def test_close_lets_a_command_end_by_itself(place: Place) -> None:
    script = 'cat > /dev/null; sleep 0.5; echo finished > "$1"; exit 5'
    stream = place.transport.open_stream(["sh", "-c", script, "sh", f"{place.folder}/out"])
    stream.close(30)
    assert stream.ending() == "it ended with exit code 5" and place.content(f"{place.folder}/out") == b"finished\n"


@pytest.mark.parametrize("ending", ["close", "kill"])
def test_a_command_that_goes_on_is_ended_with_what_it_started(place: Place, ending: str) -> None:
    script = "trap '' HUP PIPE TERM; sleep 600 & echo $! $$; while :; do sleep 1; done"
    stream = place.transport.open_stream(["sh", "-c", script])
    child, parent = map(int, read_line(stream).split())
    assert is_running(place.transport, child) and is_running(place.transport, parent)
    began = time.monotonic()
    stream.close(0.3) if ending == "close" else stream.kill()
    assert time.monotonic() - began < 10
    assert ends_soon(place.transport, parent) and ends_soon(place.transport, child)
    assert "killed" in stream.ending()
    for again in (stream.kill, stream.kill, lambda: stream.close(5), lambda: stream.close(5)):
        again()


def test_closing_the_transport_ends_its_streams(place: Place) -> None:
    transport = place.reconnect()
    streams = [transport.open_stream(["sh", "-c", "echo $$; exec sleep 600"]) for _ in range(2)]
    pids = [int(read_line(stream)) for stream in streams]
    transport.close()
    transport.close()
    assert all(ends_soon(place.transport, pid) for pid in pids)
    for stream in streams:
        stream.kill()
        stream.close(1)


def test_many_streams_at_once(place: Place) -> None:
    streams = [place.transport.open_stream(["cat"]) for _ in range(5)]
    for number, stream in enumerate(streams):
        stream.write(b"%d\n" % number, 30)
    assert [read_exactly(stream, 2) for stream in streams] == [b"%d\n" % number for number in range(5)]
    for stream in streams:
        stream.close(30)
