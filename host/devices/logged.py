"""A transport that logs what goes over it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .transport import Completed, Stream, Transport

_LOG = logging.getLogger(__name__)
_SHOWN_CHARACTERS = 400


class LoggedTransport:
    """Passes everything on to another transport, and tells the log of each call and how it ended."""

    def __init__(self, transport: Transport, device_name: str) -> None:
        self._transport = transport
        self._name = device_name

    @property
    def agent_dir(self) -> str:
        return self._transport.agent_dir

    def run(self, argv: Sequence[str], timeout_s: float) -> Completed:
        with self._told("run", *argv):
            done = self._transport.run(argv, timeout_s)
        _LOG.debug(
            "%s: exit code %d, stdout %s, stderr %s", self._name, done.returncode, _shown(done.stdout),
            _shown(done.stderr),
        )  # fmt: skip
        return done

    def push(self, source: Path, target: str, mode: int = 0o600) -> None:
        with self._told("push", str(source), target):
            self._transport.push(source, target, mode)

    def pull(self, source: str, target: Path) -> None:
        with self._told("pull", source, str(target)):
            self._transport.pull(source, target)

    def open_stream(self, argv: Sequence[str]) -> Stream:
        with self._told("stream", *argv):
            return self._transport.open_stream(argv)

    def close(self) -> None:
        self._transport.close()

    @contextmanager
    def _told(self, what: str, *words: str) -> Iterator[None]:
        started = time.monotonic()
        _LOG.debug("%s: %s %s", self._name, what, " ".join(_quoted(word) for word in words))
        try:
            yield
        except Exception as error:
            _LOG.debug("%s: %s failed after %.3f s: %s", self._name, what, time.monotonic() - started, error)
            raise
        _LOG.debug("%s: %s took %.3f s", self._name, what, time.monotonic() - started)


def _quoted(word: str) -> str:
    return _cut(repr(word) if not word or not word.isprintable() or " " in word else word)


def _shown(data: bytes) -> str:
    """The beginning as text, with what does not print escaped."""
    return _cut(repr(data.decode(errors="backslashreplace")))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}... ({len(text)} characters)"
