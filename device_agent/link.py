"""The agent's end of the connection: exchanges frames and heartbeats with the host, notices when it is gone."""

from __future__ import annotations

import os
import select
import time
from typing import Any, Sequence

from .frames import Frame, LinkClosed, encode_frame, read_frame

# Used until the host has said hello.
DEFAULT_HEARTBEAT_S = 2.0
DEFAULT_SILENCE_S = 60.0
_CHUNK_BYTES = 1 << 20


class HostLink:
    """Frames over two descriptors.

    One thread does everything, because the agent forks: while a child works, `wait` keeps reading the host's heartbeats
    and sends the agent's own. Nothing blocks for longer than `silence_s`; a host silent for that long counts as gone.
    """

    def __init__(self, in_fd: int, out_fd: int) -> None:
        self._in_fd = in_fd
        self._out_fd = out_fd
        os.set_blocking(out_fd, False)
        self.heartbeat_s = DEFAULT_HEARTBEAT_S
        self.silence_s = DEFAULT_SILENCE_S
        self._heard_at = time.monotonic()
        self._spoke_at = time.monotonic()

    def close(self) -> None:
        os.set_blocking(self._out_fd, True)  # the mode also applies to a terminal that shares this stream

    def receive(self) -> Frame:
        """The next frame that is not a heartbeat.

        Raises: `LinkClosed` when the host closed the stream or fell silent, `FrameError` for an invalid frame.
        """
        while True:
            frame = read_frame(self)
            if frame.header.get("op") != "heartbeat":
                return frame

    def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        """Send one frame. Raises `LinkClosed` when the host does not read it."""
        rest = memoryview(encode_frame(header, payload))
        deadline = time.monotonic() + self.silence_s
        while rest:
            if not select.select([], [self._out_fd], [], max(0.0, deadline - time.monotonic()))[1]:
                raise LinkClosed(f"the host has read nothing for {self.silence_s:g} s")
            try:
                written = os.write(self._out_fd, rest[:_CHUNK_BYTES])
            except BlockingIOError:
                continue
            except OSError as error:
                raise LinkClosed(f"the host closed the stream: {error}") from error
            deadline = time.monotonic() + self.silence_s
            rest = rest[written:]
        self._spoke_at = time.monotonic()

    def wait(self, descriptors: Sequence[int], timeout_s: float) -> list[int]:
        """Wait until one of `descriptors` is readable or the time is over; keep serving the host.

        Raises: as `receive`; also `LinkClosed` when the host says bye.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            self._heartbeat_if_due()
            now = time.monotonic()
            pause_s = max(0.0, min(deadline - now, self._spoke_at + self.heartbeat_s - now))
            ready = select.select([self._in_fd, *descriptors], [], [], pause_s)[0]
            if self._in_fd in ready:
                self._serve_while_busy()
            elif time.monotonic() - self._heard_at > self.silence_s:
                raise LinkClosed(f"the host has said nothing for {self.silence_s:g} s")
            mine = [descriptor for descriptor in ready if descriptor != self._in_fd]
            if mine or time.monotonic() >= deadline:
                return mine

    def read(self, size: int) -> bytes:
        """At most `size` bytes, for `read_frame`; empty at the end of the stream."""
        remaining_s = max(0.0, self._heard_at + self.silence_s - time.monotonic())
        if not select.select([self._in_fd], [], [], remaining_s)[0]:
            raise LinkClosed(f"the host has said nothing for {self.silence_s:g} s")
        try:
            data = os.read(self._in_fd, min(size, _CHUNK_BYTES))
        except OSError as error:
            raise LinkClosed(f"the stream from the host broke: {error}") from error
        self._heard_at = time.monotonic()
        return data

    def _heartbeat_if_due(self) -> None:
        if time.monotonic() - self._spoke_at >= self.heartbeat_s:
            self.send({"heartbeat": True})

    def _serve_while_busy(self) -> None:
        frame = read_frame(self)
        if frame.header.get("op") == "bye":
            raise LinkClosed("the host said bye")
        if frame.header.get("op") != "heartbeat":
            message = "the agent is busy with another request; wait for its reply"
            self.send({"re": request_id(frame), "error": {"kind": "busy", "message": message}})


def request_id(frame: Frame) -> int | None:
    """The id that a reply repeats; None unless it is a plain integer."""
    identity = frame.header.get("id")
    if isinstance(identity, int) and not isinstance(identity, bool) and 0 <= identity < 1 << 53:
        return identity
    return None
