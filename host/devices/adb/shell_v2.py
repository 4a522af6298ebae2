"""Commands on a phone: adb's shell protocol, version 2, which keeps stdout, stderr and the exit code apart."""

from __future__ import annotations

import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

from ..marks import Command, Errors, Output, ShellError

STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
_HEADER = struct.Struct("<BI")  # id, bytes that follow
_MAX_PACKET = 16 << 20  # adbd sends at most 1 MiB
_SEND_BYTES = 64 << 10
_BUFFER_BYTES = 4 << 20
TAIL_BYTES = 8192


class PacketError(ValueError):
    """The bytes received are not the shell protocol."""


def packet(kind: int, payload: bytes | memoryview = b"") -> bytes:
    return _HEADER.pack(kind, len(payload)) + payload


class Unpacker:
    """Cuts what adbd sends into (id, payload); a long payload comes in the parts it arrives in."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._kind = STDOUT
        self._missing = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Raises `PacketError` at the first header that adbd cannot have sent."""
        self._pending += data
        while self._pending if self._missing else len(self._pending) >= _HEADER.size:
            if self._missing == 0:
                self._start_packet()
                continue
            part = bytes(self._pending[: self._missing])
            del self._pending[: len(part)]
            self._missing -= len(part)
            yield self._kind, part

    def _start_packet(self) -> None:
        self._kind, self._missing = _HEADER.unpack_from(self._pending)
        del self._pending[: _HEADER.size]
        allowed = {STDOUT: _MAX_PACKET, STDERR: _MAX_PACKET, EXIT: 1}.get(self._kind, -1)
        if self._missing > allowed or (self._kind == EXIT and self._missing == 0):
            raise PacketError(f"a packet with id {self._kind} and {self._missing} bytes, which adbd never sends")


class AdbStream:
    """A command on a phone, as one byte stream.

    A thread takes everything that comes, so that neither of the command's outputs can block the other or its input;
    only a stdout that is not read stops it, after 4 MiB.
    """

    def __init__(
        self,
        sock: socket.socket,
        command: Command,
        kill_group: Callable[[int], None],
        stderr_bytes: int | None = TAIL_BYTES,
    ) -> None:
        """`sock` is owned from here on. `kill_group` kills the group of a process on the phone, bounded in time, and
        never raises; `stderr_bytes` is how much of stderr is kept, None for all.
        """
        self._sock = sock
        self._sock.settimeout(None)
        self._kill_group = kill_group
        self._output = Output(command)
        self._errors = Errors(command, stderr_bytes)
        self._stdout = bytearray()
        self._exit_code: int | None = None
        self._how_lost = "the connection to the phone was lost"
        self._is_over = False
        self._is_released = False
        self._is_cut_off = False
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._receiver = threading.Thread(target=self._receive, name="edgewright-adb", daemon=True)
        self._receiver.start()

    @property
    def exit_code(self) -> int | None:
        """None while it runs, and when the connection was lost before the command ended."""
        return self._exit_code

    @property
    def noise(self) -> bytes | None:
        """What came instead of the command's output; None once that has begun."""
        return self._output.noise

    def read(self, size: int, timeout_s: float) -> bytes:
        with self._changed:
            if not self._changed.wait_for(lambda: self._stdout or self._is_over, timeout=max(0.0, timeout_s)):
                raise TimeoutError(f"nothing to read for {timeout_s:g} s")
            data = bytes(self._stdout[:size])
            del self._stdout[:size]
            self._changed.notify_all()
        return data

    def write(self, data: bytes, timeout_s: float) -> None:
        view = memoryview(data)
        for start in range(0, len(view), _SEND_BYTES):
            self._send(packet(STDIN, view[start : start + _SEND_BYTES]), timeout_s)

    def close_stdin(self, timeout_s: float) -> None:
        """End of input. Raises as `write` does."""
        self._send(packet(CLOSE_STDIN), timeout_s)

    def ending(self) -> str:
        with self._changed:
            self._changed.wait_for(lambda: self._is_over, timeout=1.0)
        if not self._is_over:
            return "it is still running"
        if self._exit_code is None:
            return self._how_lost
        if self._exit_code - 128 in set(signal.Signals):
            return f"it was killed by {signal.Signals(self._exit_code - 128).name}"
        return f"it ended with exit code {self._exit_code}"

    def stderr(self) -> bytes:
        """What was kept of it so far; complete once `read` has come to the end."""
        with self._changed:
            return self._errors.kept()

    def stderr_tail(self) -> str:
        return self.stderr()[-TAIL_BYTES:].decode(errors="replace").strip()

    def close(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        try:
            self.close_stdin(min(1.0, timeout_s))
        except OSError:
            pass  # it has ended, or takes no input: it is killed below
        while not self._is_over and time.monotonic() < deadline:
            self._await_end(deadline)
        self.kill()

    def _await_end(self, deadline: float) -> None:
        """The end, or more unread output, which is dropped: the command could not end before."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._stdout, max(0.0, deadline - time.monotonic()))
            if not self._is_over:
                self._stdout.clear()
                self._changed.notify_all()

    def kill(self) -> None:
        if not self._is_over and not self._is_released:
            self._kill_command()
        self._release()

    def _kill_command(self) -> None:
        """adbd only hangs up on the command itself when a stream closes: what that started would live on."""
        with self._changed:
            self._changed.wait_for(lambda: self._errors.is_pid_settled or self._is_over, timeout=1.0)
        if self._errors.pid is not None and not self._is_over:
            self._kill_group(self._errors.pid)
            with self._changed:
                self._stdout.clear()  # lets the receiver come to the exit code
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._is_over, timeout=1.0)

    def _release(self) -> None:
        with self._changed:
            if not self._is_over:
                self._how_lost = "it was killed by closing its connection"
            self._is_released = True
            self._changed.notify_all()
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other end was first
        self._receiver.join(timeout=1.0)
        self._sock.close()

    def _send(self, data: bytes, timeout_s: float) -> None:
        """Raises `TimeoutError` when no byte was accepted for `timeout_s`, `OSError` when none ever will be."""
        if not self._writing.acquire(timeout=max(0.0, timeout_s)):
            raise TimeoutError(f"another write took longer than {timeout_s:g} s")
        try:
            if self._is_over or self._is_released or self._is_cut_off:
                raise BrokenPipeError("the command takes no more input")
            self._is_cut_off = True  # until the packet is whole: nothing can follow half of one
            self._send_all(memoryview(data), timeout_s)
            self._is_cut_off = False
        finally:
            self._writing.release()

    def _send_all(self, rest: memoryview, timeout_s: float) -> None:
        poll = select.poll()
        poll.register(self._sock, select.POLLOUT)
        while rest:
            try:
                rest = rest[self._sock.send(rest, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                if not poll.poll(max(0.0, timeout_s) * 1000):
                    raise TimeoutError(f"{len(rest)} bytes not taken for {timeout_s:g} s") from None

    def _receive(self) -> None:
        unpacker = Unpacker()
        try:
            while self._exit_code is None and (data := self._sock.recv(1 << 18)):
                for kind, part in unpacker.feed(data):
                    self._take(kind, part)
        except PacketError as error:
            self._how_lost = f"its phone sent {error}"
        except ShellError as error:
            self._how_lost = str(error)
        except OSError as error:
            self._how_lost = f"{self._how_lost} ({error.strerror or error})"
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _take(self, kind: int, part: bytes) -> None:
        with self._changed:
            if kind == STDOUT:
                self._changed.wait_for(lambda: len(self._stdout) < _BUFFER_BYTES or self._is_released)
                self._stdout += self._output.after_mark(part)
            elif kind == STDERR:
                self._errors.take(part)
            else:
                self._exit_code = part[0]
            self._changed.notify_all()
