"""The framer and the stream against a peer on a socket pair, which sends what no real adbd would."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from edgewright.devices.adb.shell_v2 import (
    CLOSE_STDIN,
    EXIT,
    STDERR,
    STDIN,
    STDOUT,
    AdbStream,
    PacketError,
    Unpacker,
    packet,
)
from edgewright.devices.marks import Command
from hypothesis import given
from hypothesis import strategies as st

PACKETS = st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=40)), max_size=8)


def joined(parts: Iterator[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """What was cut, with neighbours of one kind as one."""
    whole: list[tuple[int, bytes]] = []
    for kind, part in parts:
        if whole and whole[-1][0] == kind:
            whole[-1] = (kind, whole[-1][1] + part)
        elif part:
            whole.append((kind, part))
    return whole


@given(PACKETS, st.lists(st.integers(0, 400), max_size=6))
def test_packets_come_out_as_they_went_in_however_the_bytes_arrive(
    packets: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    wire = b"".join(packet(kind, payload) for kind, payload in packets)
    edges = sorted({0, len(wire), *(min(cut, len(wire)) for cut in cuts)})
    unpacker = Unpacker()
    got = (part for start, end in zip(edges, edges[1:], strict=False) for part in unpacker.feed(wire[start:end]))
    assert joined(got) == joined(iter(packets))


@pytest.mark.parametrize(
    "wire",
    [packet(STDIN, b"x"), packet(CLOSE_STDIN), packet(5, b"x"), packet(255), b"HTTP/1.1 400", packet(EXIT),
     packet(EXIT, b"12"), b"\x01\xff\xff\xff\xff", b"\x02\x01\x00\x00\x01"],
)  # fmt: skip
def test_what_adbd_never_sends_is_refused(wire: bytes) -> None:
    with pytest.raises(PacketError, match="which adbd never sends"):
        list(Unpacker().feed(wire))


@given(st.binary(max_size=200))
def test_no_garbage_does_more_than_be_refused(wire: bytes) -> None:
    unpacker = Unpacker()
    try:
        assert sum(len(part) for _, part in unpacker.feed(wire)) <= len(wire)
    except PacketError:
        pass


COMMAND = Command(("cat",))
MARK = COMMAND.program.split()[1].rstrip(";").encode()
PID = packet(STDERR, MARK + b" 4711\n")
BEGIN = packet(STDOUT, MARK + b"\n") + PID


class Peer:
    """The adbd end of a stream, and the process groups the stream had killed."""

    def __init__(self, on_kill: Callable[[], None] = lambda: None, stderr_bytes: int | None = 8192) -> None:
        ours, self.sock = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        self.killed: list[int] = []
        self._on_kill = on_kill
        self.stream = AdbStream(ours, COMMAND, self._kill, stderr_bytes)

    def _kill(self, group: int) -> None:
        self.killed.append(group)
        self._on_kill()

    def send(self, *packets: bytes) -> None:
        self.sock.sendall(b"".join(packets))

    def receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (part := self.sock.recv(size - len(data))):
            data += part
        return data


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.sock.close()
    peer.stream.kill()
    assert not any(thread.name == "edgewright-adb" for thread in threading.enumerate())


def test_both_outputs_and_the_exit_code_are_kept_apart(peer: Peer) -> None:
    peer.send(BEGIN, packet(STDOUT, b"out"), packet(STDERR, b"err"), packet(EXIT, b"\x03"))
    assert peer.stream.read(2, 5) == b"ou"
    assert peer.stream.read(100, 5) == b"t"
    assert peer.stream.read(100, 5) == peer.stream.read(100, 5) == b""
    assert peer.stream.stderr_tail() == "err"
    assert peer.stream.exit_code == 3 and peer.stream.ending() == "it ended with exit code 3"


def test_a_signal_is_named(peer: Peer) -> None:
    peer.send(packet(EXIT, bytes([128 + 9])))
    assert peer.stream.ending() == "it was killed by SIGKILL"


def test_stdin_goes_in_packets(peer: Peer) -> None:
    peer.stream.write(b"hello", 5)
    peer.stream.write(b"", 5)
    peer.stream.close_stdin(5)
    assert peer.receive(15) == packet(STDIN, b"hello") + packet(CLOSE_STDIN)


def test_reading_nothing_takes_no_longer_than_allowed(peer: Peer) -> None:
    with pytest.raises(TimeoutError, match=r"nothing to read for 0.05 s"):
        peer.stream.read(1, 0.05)
    assert peer.stream.ending() == "it is still running"


def test_a_write_nobody_takes_ends_in_time_and_nothing_follows_half_a_packet(peer: Peer) -> None:
    with pytest.raises(TimeoutError, match=r"bytes not taken for 0.1 s"):
        peer.stream.write(b"x" * (4 << 20), 0.1)
    with pytest.raises(BrokenPipeError, match="no more input"):
        peer.stream.write(b"x", 0.1)


def test_writing_to_a_command_that_ended_is_an_os_error(peer: Peer) -> None:
    peer.send(packet(EXIT, b"\0"))
    assert peer.stream.read(1, 5) == b""
    with pytest.raises(BrokenPipeError):
        peer.stream.write(b"x", 5)


@pytest.mark.parametrize("wire", [b"", b"\x01\x05", packet(STDOUT, b"12345")[:-1]], ids=["start", "header", "payload"])
def test_a_cut_in_mid_packet_is_the_end_and_a_lost_connection(peer: Peer, wire: bytes) -> None:
    peer.send(wire)
    peer.sock.close()
    while peer.stream.read(100, 5):
        pass
    assert peer.stream.exit_code is None
    assert peer.stream.ending() == "the connection to the phone was lost"


@pytest.mark.parametrize("wire", [b"HTTP/1.1 400 Bad Request", b"\x01\xff\xff\xff\xff", packet(9)])
def test_garbage_is_the_end_and_says_what_came(peer: Peer, wire: bytes) -> None:
    peer.send(wire)
    assert peer.stream.read(100, 5) == b""
    assert "a packet with id" in peer.stream.ending() and "never sends" in peer.stream.ending()


def test_stderr_is_drained_while_nobody_reads_and_only_its_end_is_kept(peer: Peer) -> None:
    peer.sock.settimeout(20)
    peer.send(BEGIN, *[packet(STDERR, b"y" * (1 << 20))] * 8, packet(STDERR, b"last words"))
    peer.send(packet(EXIT, b"\0"))
    assert peer.stream.ending() == "it ended with exit code 0"
    assert peer.stream.stderr_tail().endswith("last words") and len(peer.stream.stderr()) == 8192


def test_stdout_that_nobody_reads_is_held_back_at_the_phone_and_then_comes_whole(peer: Peer) -> None:
    wire = [BEGIN, *[packet(STDOUT, b"z" * (1 << 20))] * 40, packet(EXIT, b"\0")]
    sender = threading.Thread(target=lambda: peer.send(*wire))
    sender.start()
    sender.join(timeout=0.5)
    assert sender.is_alive(), "40 MiB were taken into memory"
    got = 0
    while part := peer.stream.read(1 << 20, 5):
        got += len(part)
    sender.join(timeout=5)
    assert got == 40 << 20 and peer.stream.exit_code == 0


def test_kill_ends_the_process_group_once_and_a_reader_that_waits(peer: Peer) -> None:
    peer.send(BEGIN)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(peer.stream.read(1, 60)))
    reader.start()
    peer.stream.kill()
    peer.stream.kill()
    reader.join(timeout=10)
    assert got == [b""] and peer.killed == [4711]
    assert peer.stream.ending() == "it was killed by closing its connection"


def test_kill_waits_for_the_signal_to_be_reported(peer: Peer) -> None:
    peer.send(BEGIN)
    peer._on_kill = lambda: peer.send(packet(EXIT, bytes([128 + 9])))
    peer.stream.kill()
    assert peer.stream.ending() == "it was killed by SIGKILL"


def test_after_the_end_or_a_lost_connection_no_process_is_killed(peer: Peer) -> None:
    peer.send(BEGIN)
    peer.sock.close()
    assert peer.stream.read(1, 5) == b""
    peer.stream.kill()
    assert peer.killed == []  # the number may be another process's by now


def test_what_the_shell_says_before_the_marks_is_dropped(peer: Peer) -> None:
    peer.send(packet(STDERR, b"WARNING: linker\n"), packet(STDOUT, b"welcome\0"), BEGIN, packet(STDOUT, b"out"))
    peer.send(packet(STDERR, b"err"), packet(EXIT, b"\0"))
    assert peer.stream.read(100, 5) == b"out" and peer.stream.read(100, 5) == b""
    assert peer.stream.stderr() == b"err" and peer.stream.noise is None


def test_a_shell_that_starts_nothing_gives_nothing_to_read(peer: Peer) -> None:
    peer.send(packet(STDOUT, b"no shell today\n"), packet(EXIT, b"\1"))
    assert peer.stream.read(100, 5) == b""
    assert peer.stream.noise == b"no shell today\n" and peer.stream.exit_code == 1


def test_a_shell_that_never_stops_greeting_is_told(peer: Peer) -> None:
    peer.send(packet(STDOUT, (b"hi " * (1 << 19))[: (1 << 20) + 1]))
    assert peer.stream.read(100, 20) == b""
    assert peer.stream.ending() == f"its shell prints too much before any command: {(b'hi ' * 27)[:80]!r}..."


def test_close_ends_the_input_waits_and_drops_what_nobody_read(peer: Peer) -> None:
    def adbd() -> None:
        assert peer.receive(5) == packet(CLOSE_STDIN)
        peer.send(BEGIN, *[packet(STDOUT, b"z" * (1 << 20))] * 12, packet(EXIT, b"\x07"))

    thread = threading.Thread(target=adbd)
    thread.start()
    peer.stream.close(20)
    thread.join(timeout=5)
    assert peer.stream.ending() == "it ended with exit code 7" and peer.killed == []


def test_close_kills_what_does_not_end_in_time(peer: Peer) -> None:
    peer.send(BEGIN)
    started = time.monotonic()
    peer.stream.close(0.1)
    assert peer.killed == [4711] and time.monotonic() - started < 10
