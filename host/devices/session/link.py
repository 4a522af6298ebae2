"""The host's end of the stream to an agent: requests, replies, heartbeats, and a time limit on everything."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgewright.device_agent.frames import Frame, FrameError, LinkClosed, encode_frame, read_frame

from ...errors import DeviceError

if TYPE_CHECKING:
    from ..transport import Stream


_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class SessionLimits:
    """How long to wait: for the agent's start, for a reply beyond a job's own time limit, for any sign of life.

    Both sides send a heartbeat every `heartbeat_s`, and count the other as gone after `silence_s` without a byte.
    """

    start_s: float = 60.0
    reply_s: float = 60.0
    silence_s: float = 20.0
    heartbeat_s: float = 2.0
    close_s: float = 3.0

    def __post_init__(self) -> None:
        if not 0 < self.heartbeat_s < self.silence_s:
            raise ValueError(
                "heartbeat_s must lie in (0, silence_s), "
                f"got heartbeat_s={self.heartbeat_s} and silence_s={self.silence_s}"
            )
        if not (self.start_s > 0 and self.reply_s > 0 and self.close_s > 0):
            raise ValueError(
                f"start_s, reply_s and close_s must be positive, got {self.start_s}, {self.reply_s} and {self.close_s}"
            )


class AgentLink:
    """One request at a time over a stream. The first failure of the stream ends it for good, as `DeviceError`."""

    def __init__(self, stream: Stream, device_name: str, limits: SessionLimits) -> None:
        self._stream = stream
        self._device_name = device_name
        self._limits = limits
        self._last_id = 0
        self._broken: str | None = None
        self._write_lock = threading.Lock()
        self._stop = threading.Event()
        self._heartbeats: threading.Thread | None = None

    def request(self, header: dict[str, Any], payload: bytes, reply_s: float, silence_s: float) -> Frame:
        """Send a request and return its reply, which has either `ok` (an object) or `error` (an object)."""
        for frame in self.stream(header, payload, reply_s, silence_s):
            if "record" in frame.header:
                raise self._fail(f"its agent sent something other than a reply to {header['op']}: a record")
            reply = frame
        return reply

    def stream(self, header: dict[str, Any], payload: bytes, reply_s: float, silence_s: float) -> Iterator[Frame]:
        """Send a request whose reply follows after any number of frames with `record` (an object); yields them all.

        `reply_s` bounds the wait for each frame. A caller that stops iterating early ends the session.
        """
        if self._broken is not None:
            raise DeviceError(f"the session with device {self._device_name!r} is over ({self._broken}); open a new one")
        self._last_id += 1
        operation = header["op"]
        started = time.monotonic()
        _LOG.debug("%s: asks %d %s, %d bytes", self._device_name, self._last_id, operation, len(payload))
        try:
            self._write({**header, "id": self._last_id}, payload)
            while "record" in (frame := self._await_frame(_Reader(self._stream, reply_s, silence_s))).header:
                yield frame
        except LinkClosed:
            raise self._fail(f"its agent ended during {operation}: {self._stream.ending()}") from None
        except FrameError as error:
            raise self._fail(f"its agent sent something other than a reply to {operation}: {error}") from error
        except TimeoutError as error:
            raise self._fail(f"its agent did not answer {operation}: {error}") from error
        except OSError as error:
            raise self._fail(
                f"its agent took no request ({operation}: {error.strerror or error}): {self._stream.ending()}"
            ) from error
        except BaseException:  # interrupted in mid-conversation: the next reply would be this request's
            self.abandon()
            raise
        answer = f"error {frame.header['error']}" if "error" in frame.header else "ok"
        seconds = time.monotonic() - started
        _LOG.debug("%s: %d answered after %.3f s: %.400s", self._device_name, self._last_id, seconds, answer)
        yield frame

    @property
    def is_over(self) -> bool:
        return self._broken is not None

    def start_heartbeats(self) -> None:
        self._heartbeats = threading.Thread(target=self._beat, name="edgewright-heartbeat", daemon=True)
        self._heartbeats.start()

    def close(self) -> None:
        """Say bye if the stream is whole, then end it."""
        if self._broken is None:
            try:
                self.request({"op": "bye"}, b"", self._limits.close_s, self._limits.close_s)
            except DeviceError:
                pass  # it is ended below in any case
        self._end("closed", self._limits.close_s)

    def abandon(self) -> None:
        """End the stream and the agent at once."""
        self._end("abandoned", 0.0)

    def _end(self, reason: str, timeout_s: float) -> None:
        self._broken = self._broken or reason
        self._stop_heartbeats()
        if timeout_s > 0:
            self._stream.close(timeout_s)
        else:
            self._stream.kill()

    def _stop_heartbeats(self) -> None:
        """Before the stream is closed under them."""
        self._stop.set()
        if self._heartbeats is not None:
            self._heartbeats.join(timeout=1.0)

    def _fail(self, what: str) -> DeviceError:
        self._broken = what
        self._stop_heartbeats()
        self._stream.kill()
        tail = self._stream.stderr_tail()
        _LOG.debug("%s: %s; stderr: %.4000r", self._device_name, what, tail)
        said = f"; its last output: {tail[-800:]}" if tail else ""
        return DeviceError(f"device {self._device_name!r}: {what}{said}; check the device and open a new session")

    def _write(self, header: dict[str, Any], payload: bytes) -> None:
        data = encode_frame(header, payload)
        with self._write_lock:
            self._stream.write(data, self._limits.silence_s)

    def _await_frame(self, reader: _Reader) -> Frame:
        while True:
            frame = read_frame(reader)
            if frame.header.get("heartbeat"):
                continue
            if frame.header.get("re") not in (self._last_id, None):
                raise FrameError(f"a reply to request {frame.header['re']!r} instead of {self._last_id}")
            if not any(isinstance(frame.header.get(name), dict) for name in ("ok", "error", "record")):
                raise FrameError(f"a reply without ok or error: {str(frame.header):.200}")
            return frame

    def _beat(self) -> None:
        """Tell the agent that the host lives. A stream that breaks here is noticed by the next request."""
        beat = encode_frame({"op": "heartbeat"})
        while not self._stop.wait(self._limits.heartbeat_s):
            if not self._write_lock.acquire(blocking=False):
                continue  # a request is being written, which is a sign of life too
            try:
                self._stream.write(beat, self._limits.silence_s)
            except (OSError, ValueError):
                return
            finally:
                self._write_lock.release()


class _Reader:
    """The stream as `read_frame` wants it, under the two time limits of one request."""

    def __init__(self, stream: Stream, reply_s: float, silence_s: float) -> None:
        self._stream = stream
        self._reply_s = reply_s
        self._silence_s = silence_s
        self._deadline = time.monotonic() + reply_s

    def read(self, size: int) -> bytes:
        remaining_s = self._deadline - time.monotonic()
        try:
            return self._stream.read(size, min(self._silence_s, remaining_s))
        except TimeoutError:
            if remaining_s <= self._silence_s:
                raise TimeoutError(f"no reply within {self._reply_s:g} s") from None
            raise TimeoutError(f"no sign of life for {self._silence_s:g} s") from None
