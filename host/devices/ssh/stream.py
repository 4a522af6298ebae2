"""A command on an SSH host as a stream, over the channel's own send and receive."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import paramiko

from ..marks import Command, Errors, Output

TAIL_BYTES = 8192
_TURN_S = 0.1
_MAX_READ_BYTES = 1 << 20
_MAX_WRITE_BYTES = 32_000  # what a packet holds


def open_channel(transport: paramiko.Transport, limit_s: float) -> paramiko.Channel:
    """A session on a connection. Raises `TimeoutError`, and paramiko's errors."""
    end = time.monotonic() + limit_s
    try:
        return transport.open_session(timeout=limit_s)
    except paramiko.SSHException as error:
        if time.monotonic() >= end and transport.is_active():
            raise TimeoutError(f"no answer for {limit_s:g} s") from error
        raise


@contextmanager
def time_limit(channel: paramiko.Channel, limit_s: float) -> Iterator[None]:
    """Close `channel` after `limit_s`, which ends what paramiko would wait for without end. Raises `TimeoutError`."""
    watchdog = threading.Timer(limit_s, channel.close)
    watchdog.daemon = True
    watchdog.start()
    end = time.monotonic() + limit_s
    try:
        yield
    except paramiko.SSHException as error:
        if time.monotonic() >= end:
            raise TimeoutError(f"no answer for {limit_s:g} s") from error
        raise
    finally:
        watchdog.cancel()
        watchdog.join(timeout=_TURN_S)


class SshStream:
    """A started command.

    The channel's own time-out is one for both directions, so it stays a short turn, and every wait here is made of such
    turns. A thread reads stderr, because unread stderr would block stdout.
    """

    def __init__(
        self,
        channel: paramiko.Channel,
        command: Command,
        is_link_alive: Callable[[], bool],
        kill_process: Callable[[int], None],
        stderr_bytes: int | None = TAIL_BYTES,
    ) -> None:
        self._channel = channel
        self._output = Output(command)
        self._pending = b""  # read, and not handed on
        self._is_link_alive = is_link_alive
        self._kill_process = kill_process
        self._killed = False
        channel.settimeout(_TURN_S)
        self._errors = _ErrorReader(channel, Errors(command, stderr_bytes))

    def read(self, size: int, timeout_s: float) -> bytes:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return self._received(size)
            except TimeoutError:
                if time.monotonic() >= deadline:
                    raise TimeoutError(f"nothing to read for {timeout_s:g} s") from None

    def write(self, data: bytes, timeout_s: float) -> None:
        rest = memoryview(data)
        deadline = time.monotonic() + timeout_s
        while rest:
            try:
                rest = rest[self._sent(bytes(rest[:_MAX_WRITE_BYTES])) :]
                deadline = time.monotonic() + timeout_s
            except TimeoutError:
                if time.monotonic() >= deadline:
                    raise TimeoutError(f"{len(rest)} bytes not taken for {timeout_s:g} s") from None

    @property
    def noise(self) -> bytes | None:
        """What came instead of the command's output; None once that has begun."""
        return self._output.noise

    def end_input(self) -> None:
        """Raises `OSError` when the link is gone."""
        with _as_os_error():
            self._channel.shutdown_write()

    def exit_code(self, timeout_s: float) -> int | None:
        """None for one that a signal or the end of the link has ended; ask `is_link_alive`. Raises `TimeoutError`."""
        if not self._channel.status_event.wait(max(0.0, timeout_s)):
            raise TimeoutError(f"the command did not end for {timeout_s:g} s")
        return None if self._channel.exit_status < 0 else int(self._channel.exit_status)

    def ending(self) -> str:
        try:
            code = self.exit_code(1.0)
        except TimeoutError:
            return "it is still running"
        if code is not None:
            return f"it ended with exit code {code}"
        if self._killed:
            return "it was killed by SIGKILL"
        return "it was killed by a signal" if self._is_link_alive() else "the SSH connection was lost"

    def stderr(self) -> bytes:
        """What it wrote to stderr and was kept, once it has ended."""
        return self._errors.kept(wait=True)

    def stderr_tail(self) -> str:
        ended = self._channel.status_event.is_set()
        return self._errors.kept(wait=ended)[-TAIL_BYTES:].decode(errors="replace").strip()

    def close(self, timeout_s: float) -> None:
        try:
            self.end_input()
            self.exit_code(timeout_s)
        except OSError:  # a TimeoutError too
            pass
        self.kill()

    def kill(self) -> None:
        if not self._channel.status_event.is_set():
            self._killed = True
            if (pid := self._errors.pid(1.0)) is not None and self._channel.transport.is_active():
                self._kill_process(pid)
        try:
            with _as_os_error():
                self._channel.close()
        except OSError:
            pass  # the link is gone, and the channel with it
        self._errors.join(2.0)

    def _received(self, size: int) -> bytes:
        """Of the command's output; what the login shell said before it is dropped."""
        while self._output.noise is not None:
            data = self._next(_MAX_READ_BYTES)
            self._pending = self._output.after_mark(data)
            if not data:
                return b""
        if self._pending:
            data, self._pending = self._pending[:size], self._pending[size:]
            return data
        return self._next(min(size, _MAX_READ_BYTES))

    def _next(self, size: int) -> bytes:
        with _as_os_error():
            return bytes(self._channel.recv(size))

    def _sent(self, data: bytes) -> int:
        with _as_os_error():
            sent = int(self._channel.send(data))
        if sent == 0 or not self._channel.transport.is_active():  # paramiko drops what it cannot send, in silence
            raise BrokenPipeError("the command takes no more input")
        return sent


class _ErrorReader:
    """Reads a channel's stderr to its end, so that its writer never blocks."""

    def __init__(self, channel: paramiko.Channel, errors: Errors) -> None:
        self._channel = channel
        self._errors = errors
        self._pid_settled = threading.Event()
        self._thread = threading.Thread(target=self._drain, name="edgewright-ssh-stderr", daemon=True)
        self._thread.start()

    def pid(self, timeout_s: float) -> int | None:
        self._pid_settled.wait(timeout_s)
        return self._errors.pid

    def kept(self, wait: bool) -> bytes:
        """With `wait`, after the last byte has come or a second has passed."""
        if wait:
            self._thread.join(timeout=1.0)
        return self._errors.kept()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout=timeout_s)

    def _drain(self) -> None:
        try:
            while (data := self._next()) != b"":
                if data is not None:
                    self._keep(data)
        except OSError:
            pass  # the link is gone; whoever reads stdout says so
        finally:
            self._pid_settled.set()

    def _next(self) -> bytes | None:
        """None when nothing came for a turn."""
        try:
            with _as_os_error():
                return bytes(self._channel.recv_stderr(_MAX_READ_BYTES))
        except TimeoutError:
            return None

    def _keep(self, data: bytes) -> None:
        self._errors.take(data)
        if self._errors.is_pid_settled:
            self._pid_settled.set()


@contextmanager
def _as_os_error() -> Iterator[None]:
    """paramiko's two other ways to say that the connection broke."""
    try:
        yield
    except (EOFError, paramiko.SSHException) as error:
        raise ConnectionResetError(str(error) or "the SSH connection was lost") from error


def read_to_end(stream: Any, deadline: float) -> bytes:
    """Raises `TimeoutError` at `deadline`, by the monotonic clock."""
    parts = []
    while part := stream.read(_MAX_READ_BYTES, deadline - time.monotonic()):
        parts.append(part)
        if time.monotonic() >= deadline:
            raise TimeoutError("it still writes")
    return b"".join(parts)
