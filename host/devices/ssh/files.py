"""Files over SFTP, with many requests in flight.

paramiko's own `put` loses the errors of its last writes, and its prefetching thread outlives a broken link.
"""

from __future__ import annotations

import stat
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import paramiko
from paramiko.file import BufferedFile
from paramiko.sftp import CMD_DATA, CMD_EXTENDED, CMD_READ, CMD_WRITE, int64

from .stream import open_channel, time_limit

_CHUNK_BYTES = 32768  # every server takes that much in one request
_WRITES_AT_ONCE = 32
_READS_AT_ONCE = 16  # more only pile up in paramiko, which then spends its time moving the pile


def open_sftp(transport: paramiko.Transport, limit_s: float) -> paramiko.SFTPClient:
    """A session in which the server may be silent for `limit_s` at most. Raises `TimeoutError`, paramiko's errors."""
    channel = open_channel(transport, limit_s)
    try:
        with time_limit(channel, limit_s):
            channel.invoke_subsystem("sftp")
        channel.settimeout(limit_s)
        return sftp_on(channel)
    except BaseException:
        channel.close()
        raise


def sftp_on(channel: paramiko.Channel) -> paramiko.SFTPClient:
    """A session with the server that answers on a channel. Raises `TimeoutError`, paramiko's errors, and `EOFError`
    where the server has ended."""
    try:
        return paramiko.SFTPClient(channel)
    except TimeoutError:
        raise
    except OSError as error:  # "Socket is closed": it ended before it was asked anything, and only this channel has
        raise EOFError(str(error)) from error


def upload(sftp: paramiko.SFTPClient, source: BinaryIO, target: bytes, mode: int) -> int:
    """Write a file that must not exist yet; it is on the disk, not only in a cache, when this returns.

    Returns: its size. Raises: `OSError` with what the server said; the session is of no use then.
    """
    with _opened(sftp, target, "wbx") as file:
        file.chmod(mode)
        window = _Window(sftp, _WRITES_AT_ONCE)
        size = 0
        while chunk := source.read(_CHUNK_BYTES):
            window.ask(CMD_WRITE, file.handle, int64(size), chunk)
            size += len(chunk)
        window.drain()
        _sync(sftp, file.handle)
    return size


def download(sftp: paramiko.SFTPClient, source: bytes, write: Callable[[bytes], object]) -> int:
    """Read a file and hand it on in order.

    Returns: its size. Raises: `OSError` with what the server said; the session is of no use then.
    """
    with _opened(sftp, source, "rb") as file:
        size = int(file.stat().st_size or 0)
        window = _Window(sftp, _READS_AT_ONCE, write)
        for offset in range(0, size, _CHUNK_BYTES):
            window.ask(CMD_READ, file.handle, int64(offset), min(_CHUNK_BYTES, size - offset))
        window.drain()
        return window.received_bytes + _rest(file, size, write)


def is_file(sftp: paramiko.SFTPClient, path: bytes) -> bool:
    return stat.S_ISREG(sftp.stat(path).st_mode or 0)


@contextmanager
def _opened(sftp: paramiko.SFTPClient, path: bytes, mode: str) -> Iterator[paramiko.SFTPFile]:
    file = sftp.open(path, mode)
    try:
        yield file
    except BaseException:
        BufferedFile.close(file)  # instead of file.close(), which would wait for the server once more
        raise
    file.close()


class _Window:
    """Requests whose replies are awaited in order, at most `limit` at a time."""

    def __init__(
        self, sftp: paramiko.SFTPClient, limit: int, write: Callable[[bytes], object] | None = None
    ) -> None:
        self._sftp = sftp
        self._limit = limit
        self._write = write
        self._numbers: deque[int] = deque()
        self.received_bytes = 0

    def ask(self, command: int, *arguments: Any) -> None:
        if len(self._numbers) == self._limit:
            self._take()
        self._numbers.append(self._sftp._async_request(type(None), command, *arguments))

    def drain(self) -> None:
        while self._numbers:
            self._take()

    def _take(self) -> None:
        """The oldest reply; one that says no raises."""
        try:
            kind, message = self._sftp._read_response(self._numbers.popleft())
        except EOFError as error:
            raise OSError("it became shorter while it was read") from error
        if self._write is None:
            return
        if kind != CMD_DATA:
            raise OSError(f"the SFTP server sent a reply of kind {kind} instead of data")
        data = message.get_string()
        self.received_bytes += len(data)
        self._write(data)


def _rest(file: paramiko.SFTPFile, size: int, write: Callable[[bytes], object]) -> int:
    """What comes after `size`: files of /proc and /sys have a size of 0 and content."""
    file.seek(size)
    rest = 0
    while data := file.read(_CHUNK_BYTES):
        write(data)
        rest += len(data)
    return rest


def _sync(sftp: paramiko.SFTPClient, handle: bytes) -> None:
    try:
        sftp._request(CMD_EXTENDED, "fsync@openssh.com", handle)
    except OSError as error:
        if "unsupported" not in str(error).lower():
            raise
