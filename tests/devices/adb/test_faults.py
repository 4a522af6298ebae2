"""Faults that a real adb server or phone does not show on demand: a peer that speaks adb's protocol shows them."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edgewright.devices.adb.shell_v2 import EXIT, STDOUT, packet
from edgewright.devices.adb.transport import AdbTransport, attached_phones, connect_adb
from edgewright.devices.registry import Address
from edgewright.errors import DeviceError, InputError, StorageError

from tests.devices.adb.pretend_server import PretendServer, fail, take


@pytest.fixture
def phone(server: PretendServer) -> AdbTransport:
    """One that the pretended server carries, not the real one."""
    return connect_adb(Address("adb", serial="A"), "pixel")


# --- the server ---


@pytest.mark.parametrize("port", ["0", "65536", "-1", "5037x", "²"])
def test_a_port_that_is_none_is_an_input_error(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", port)
    with pytest.raises(InputError, match="ANDROID_ADB_SERVER_PORT must be a port"):
        attached_phones()


def test_a_server_that_is_silent_is_given_up_on(server: PretendServer) -> None:
    server.answers["host:devices"] = None
    with pytest.raises(DeviceError, match=r"did not answer for 0.2 s; restart it with: adb -P \d+ kill-server"):
        attached_phones(timeout_s=0.2)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [(b"HTTP/1.1 400", "is not an adb server: it answered b'HTTP'"), (b"OKAYzzzz", "b'zzzz' as the length"),
     (b"OKAY00ffshort", "did not answer"), (fail("busy"), "no answer from adb: busy")],
)  # fmt: skip
def test_a_server_that_talks_nonsense_is_named(server: PretendServer, answer: bytes, sentence: str) -> None:
    server.answers["host:devices"] = answer
    with pytest.raises(DeviceError, match=sentence):
        attached_phones(timeout_s=0.5)


def test_a_server_that_hangs_up_is_named(server: PretendServer) -> None:
    server.answers["host:devices"] = lambda sock: sock.close()
    with pytest.raises(DeviceError, match="closed the connection|broke"):
        attached_phones(timeout_s=5)


def test_a_command_over_a_server_that_falls_silent_ends_in_time(phone: AdbTransport, server: PretendServer) -> None:
    server.answers |= {"shell,v2": None, "host:devices": None}
    started = time.monotonic()
    with pytest.raises(DeviceError, match="did not answer"):
        phone.run(["true"], 0.5)
    assert time.monotonic() - started < 10


# --- commands ---


def test_a_command_whose_phone_goes_away_is_a_device_error(phone: AdbTransport, server: PretendServer) -> None:
    def vanish(sock: socket.socket) -> None:
        sock.sendall(server.begun() + packet(STDOUT, b"half"))
        server.attach("B\tdevice\n")
        sock.shutdown(socket.SHUT_RDWR)

    server.answers["shell,v2"] = vanish
    with pytest.raises(DeviceError, match=r"serial A is attached \(cannot run cat: .*lost\); attached: B \(device\)"):
        phone.run(["cat"], 5)


def test_a_command_answered_with_garbage_is_a_device_error(phone: AdbTransport, server: PretendServer) -> None:
    server.answers["shell,v2"] = lambda sock: sock.sendall(b"\x47arbage" * 10)
    with pytest.raises(DeviceError, match="cannot run cat: its phone sent a packet with id 71"):
        phone.run(["cat"], 5)


def test_a_shell_that_starts_nothing_is_told_apart(phone: AdbTransport, server: PretendServer) -> None:
    said = packet(STDOUT, b"This device is managed.\n") + packet(EXIT, b"\0")
    server.answers["shell,v2"] = lambda sock: sock.sendall(said)
    with pytest.raises(DeviceError, match=r"shell did not start cat; it said 'This device is managed.'; .*adb -s A"):
        phone.run(["cat"], 5)


def test_a_phone_locked_in_the_meantime_has_its_sentence(phone: AdbTransport, server: PretendServer) -> None:
    server.answers["host:transport:A"] = fail("device unauthorized.")
    server.attach("A\tunauthorized\n")
    with pytest.raises(DeviceError, match="unlock it"):
        phone.open_stream(["cat"])


def test_a_hung_phone_is_not_waited_for_when_a_stream_is_killed(phone: AdbTransport, server: PretendServer) -> None:
    def hang(sock: socket.socket) -> None:
        sock.sendall(server.begun())
        sock.recv(1)

    server.answers["shell,v2"] = hang
    stream = phone.open_stream(["cat"])
    server.answers["shell,v2"] = None
    started = time.monotonic()
    stream.kill()
    assert server.asked[-1].startswith("shell,v2,raw:read -r stat < /proc/99/stat; ")
    assert time.monotonic() - started < 15 and stream.ending() == "it was killed by closing its connection"


# --- files ---

SYNC = struct.Struct("<4sI")


def read_request(sock: socket.socket) -> None:
    """The first about a file; to the question for folders before it, /data is one."""
    while True:
        _, size = SYNC.unpack(take(sock, 8))
        path = take(sock, size)
        if not path.endswith(b"/."):
            return
        sock.sendall(stat(0, 0o040700 if path == b"/data/." else 0))


def syncing(*replies: bytes) -> Callable[[socket.socket], None]:
    """An adbd that reads one request, then says what it was told to say and hangs up."""

    def serve(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(b"".join(replies))
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(1 << 16):
            pass

    return serve


def refused(text: str) -> bytes:
    return SYNC.pack(b"FAIL", len(text)) + text.encode()


def stat(size: int, mode: int = 0o100600) -> bytes:
    return struct.pack("<4sIII", b"STAT", mode, size, 0)


@pytest.mark.parametrize(
    ("replies", "sentence"),
    [
        ([stat(4), b"DATA\x04\0\0\0ab"], "the connection to the phone was lost"),
        ([stat(4), b"DATA\x02\0\0\0abDONE\0\0\0\0"], "2 of 4 bytes arrived"),
        ([stat(4), b"JUNK\0\0\0\0"], "adbd answered b'JUNK' instead of DATA"),
        ([stat(4), b"DATA\xff\xff\xff\xff"], "4294967295 bytes at once"),
        ([stat(4), refused("I/O e")], "cannot read /data/m: I/O e;"),
        ([stat(4), b"FAIL\xff\xff\xff\xff"], "lost"),
        ([b"STAT\0"], "lost"),
        ([b"JUNK" + bytes(12)], "answered b'JUNK'"),
        ([stat(0, 0o040700)], "not a regular file"),
    ],
)
def test_a_pull_that_goes_wrong_leaves_nothing(
    phone: AdbTransport, server: PretendServer, tmp_path: Path, replies: list[bytes], sentence: str
) -> None:
    server.answers["sync:"] = syncing(*replies)
    with pytest.raises(DeviceError, match=sentence):
        phone.pull("/data/m", tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_a_pull_onto_a_full_disk_is_a_storage_error(phone: AdbTransport, server: PretendServer) -> None:
    server.answers["sync:"] = syncing(stat(2), b"DATA\x02\0\0\0abDONE\0\0\0\0")
    with pytest.raises(StorageError, match="cannot write"):
        phone.pull("/data/m", Path("/proc/no/m"))


@pytest.mark.parametrize(
    ("replies", "sentence"),
    [
        ([refused("write failed: No space left on device")], "No space left on device; free some space"),
        ([refused("couldn't create file: Permission denied")], "Permission denied; adb's shell user may only use"),
        ([b"OKAY\0\0\0\0", stat(131072)], "answered b'OKAY' instead of FAIL"),
        ([b"JUNK\0\0\0\0"], "answered b'JUNK' instead of "),
        ([], "lost|broke"),
    ],
)
def test_a_push_that_goes_wrong_says_what_adbd_said_and_is_cleaned_up(
    phone: AdbTransport, server: PretendServer, tmp_path: Path, replies: list[bytes], sentence: str
) -> None:
    (tmp_path / "m").write_bytes(b"x" * 8_000_000)
    server.answers["sync:"] = syncing(*replies)
    server.answers["shell,v2"] = lambda sock: sock.sendall(server.begun() + packet(EXIT, b"\0"))
    with pytest.raises(DeviceError, match=f"cannot write /data/m: .*({sentence})"):
        phone.push(tmp_path / "m", "/data/m")
    assert "; rm -f /data/.edgewright-" in server.asked[-1]


def test_a_push_that_arrives_short_is_a_device_error(
    phone: AdbTransport, server: PretendServer, tmp_path: Path
) -> None:
    def shorten(sock: socket.socket) -> None:
        read_request(sock)
        kind = b""
        while kind != b"DONE":
            kind, size = SYNC.unpack(take(sock, 8))
            take(sock, 0 if kind == b"DONE" else size)
        sock.sendall(SYNC.pack(b"OKAY", 0) + stat(3))

    (tmp_path / "m").write_bytes(b"1234")
    server.answers["sync:"] = shorten
    with pytest.raises(DeviceError, match="cannot write /data/m: 3 of 4 bytes arrived"):
        phone.push(tmp_path / "m", "/data/m")


# --- the server's start: real ---


def adb_server_pids(port: str) -> list[int]:
    found = subprocess.run(["pgrep", "-f", f"tcp:.*{port} fork-server"], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


@pytest.fixture
def own_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A port nothing listens on, and a home of its own."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = str(found.getsockname()[1])
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", port)
    monkeypatch.setenv("HOME", str(tmp_path))
    yield port
    for pid in adb_server_pids(port):
        os.kill(pid, 9)


def test_where_no_server_runs_the_carried_one_is_started_in_this_home(
    own_port: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert attached_phones() == ()
    monkeypatch.undo()
    [pid] = adb_server_pids(own_port)
    assert "adbutils/binaries/adb" in os.readlink(f"/proc/{pid}/exe")
    assert (tmp_path / ".android" / "adbkey").exists()


@pytest.mark.skipif(shutil.which("adb") is None, reason="no adb of the system's own; apt-get install adb")
def test_a_running_server_of_another_version_is_used_and_stays(own_port: str) -> None:
    subprocess.run(["adb", "-P", own_port, "start-server"], check=True, capture_output=True, timeout=60)
    before = adb_server_pids(own_port)
    assert attached_phones() == () and attached_phones() == ()
    assert adb_server_pids(own_port) == before and len(before) == 1


@pytest.mark.parametrize(
    ("does", "sentence"),
    [("echo 'cannot bind'; exit 1", "cannot bind"), ("exec sleep 60", "did not end within 0.5 s")],
)
def test_a_server_that_does_not_start_says_why(
    own_port: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, sentence: str
) -> None:
    (tmp_path / "adb").write_text(f"#!/bin/sh\n{does}\n")
    (tmp_path / "adb").chmod(0o755)
    monkeypatch.setattr("edgewright.devices.adb.server._adb_program", lambda: str(tmp_path / "adb"))
    monkeypatch.setattr("edgewright.devices.adb.server._START_S", 0.5)
    with pytest.raises(DeviceError, match=f"cannot start the adb server on port {own_port}: .*{sentence}.*adb -P"):
        attached_phones()
