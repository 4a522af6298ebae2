"""Files to and from a phone: adb's sync protocol."""

from __future__ import annotations

import io
import os
import select
import stat
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from .server import LinkError, Refusal, ServerConnection

_HEADER = struct.Struct("<4sI")
_STAT = struct.Struct("<4sIII")
_CHUNK_BYTES = 64 << 10  # adbd refuses larger ones
_MAX_MESSAGE = 64 << 10


@dataclass(frozen=True)
class RemoteStat:
    """`mode` is 0 when there is no such file or it may not be read; links are not followed."""

    mode: int
    size_mod_4gib: int

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_other(self) -> bool:
        """Whether it is there but is neither a file nor a link."""
        return self.mode != 0 and not stat.S_ISREG(self.mode) and not self.is_link

    def has_size(self, size: int) -> bool:
        return self.size_mod_4gib == size % (1 << 32)


class SyncSession:
    """adbd's file service on one phone; use it as a context manager.

    Paths are data: they go over with their length in front. Every method raises `LinkError`, at the latest after
    `timeout_s` without progress, and `Refusal` with adbd's own words.
    """

    def __init__(self, serial: str, timeout_s: float) -> None:
        self._connection = ServerConnection(timeout_s)
        try:
            self._connection.reach(serial)
            self._connection.request("sync:")
        except BaseException:
            self._connection.sock.close()
            raise
        self._replies = self._connection.sock.makefile("rb", 1 << 18)
        self._replies_poll = select.poll()
        self._replies_poll.register(self._connection.sock, select.POLLIN)

    def __enter__(self) -> SyncSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._replies.close()
        self._connection.sock.close()

    def stat(self, path: str) -> RemoteStat:
        self._ask(b"STAT", os.fsencode(path))
        answer, mode, size, _ = _STAT.unpack(self._receive(_STAT.size))
        if answer != b"STAT":
            raise LinkError(f"adbd answered {answer!r} when asked for a file's size")
        return RemoteStat(mode, size)

    def send(self, source: io.RawIOBase, path: str) -> int:
        """Write a file that nobody but its owner's shell may open until its mode is set. Returns: its size in bytes."""
        # adbd takes what follows the last comma for the mode, so commas in the path are safe.
        self._ask(b"SEND", b"%s,%d" % (os.fsencode(path), stat.S_IFREG))
        size = 0
        packet = memoryview(bytearray(_HEADER.size + _CHUNK_BYTES))
        while length := source.readinto(packet[_HEADER.size :]):
            _HEADER.pack_into(packet, 0, b"DATA", length)
            self._pass_on(packet[: _HEADER.size + length])
            size += length
        self._pass_on(_HEADER.pack(b"DONE", int(time.time()) & 0xFFFFFFFF))
        self._expect(b"OKAY")
        return size

    def receive(self, path: str, take: Callable[[bytes], object]) -> int:
        """Hand a file's bytes to `take`. Returns: its size in bytes."""
        self._ask(b"RECV", os.fsencode(path))
        size = 0
        while length := self._expect(b"DATA", end=b"DONE"):
            if length > _CHUNK_BYTES:
                raise LinkError(f"adbd sent {length} bytes at once, which it never does")
            take(self._receive(length))
            size += length
        return size

    def _ask(self, request: bytes, argument: bytes) -> None:
        self._connection.send(_HEADER.pack(request, len(argument)) + argument)

    def _pass_on(self, data: bytes | memoryview) -> None:
        """Send a part of a file. A reply before its end can only be a refusal, and is the error."""
        if self._has_reply():
            self._expect(b"FAIL")
        try:
            self._connection.send(data)
        except LinkError:
            if self._has_reply():
                self._expect(b"FAIL")
            raise

    def _expect(self, answer: bytes, end: bytes | None = None) -> int:
        """The number after `answer`, 0 after `end`. A refusal is raised in any case."""
        got, number = _HEADER.unpack(self._receive(_HEADER.size))
        if got == b"FAIL":
            raise Refusal(self._receive(min(number, _MAX_MESSAGE)).decode(errors="replace"))
        if got == end:
            return 0
        if got != answer:
            raise LinkError(f"adbd answered {got!r} instead of {answer.decode()}")
        return int(number)

    def _has_reply(self) -> bool:
        return bool(self._replies_poll.poll(0))

    def _receive(self, size: int) -> bytes:
        try:
            data = self._replies.read(size)
        except OSError as error:
            raise self._connection.broken(error) from error
        if len(data) < size:
            raise LinkError("the connection to the phone was lost")
        return data

