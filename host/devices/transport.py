"""The one seam between the host and a device: run a command, move files, open a stream.

Commands are argument lists; nothing here is text for a shell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Completed:
    """A command that ended on its own."""

    returncode: int
    stdout: bytes
    stderr: bytes


class Stream(Protocol):
    """A running command's stdin and stdout as one byte stream; its stderr is drained and its tail kept."""

    def read(self, size: int, timeout_s: float) -> bytes:
        """Some bytes, at most `size`; empty at the end of the stream. Raises `TimeoutError`."""

    def write(self, data: bytes, timeout_s: float) -> None:
        """All of `data`. Raises `TimeoutError` or `OSError`; an unknown part may then have been written."""

    def ending(self) -> str:
        """How the command ended, or that it still runs, as half a sentence."""

    def stderr_tail(self) -> str:
        """The last few thousand characters the command wrote to stderr."""

    def close(self, timeout_s: float) -> None:
        """End of input; wait for the command to end, then kill it. Never raises, and may be called again."""

    def kill(self) -> None:
        """End the command and what it started, now. Never raises, and may be called again."""


class Transport(Protocol):
    """A way to one device. Every method raises `DeviceError` when the device is unreachable or refuses."""

    @property
    def agent_dir(self) -> str:
        """Absolute path of the device's private folder for all of edgewright's files; it may not exist yet."""

    def run(self, argv: Sequence[str], timeout_s: float) -> Completed:
        """Run a command to its end; a non-zero exit code is a result, not an error. Its stdin is empty."""

    def push(self, source: Path, target: str, mode: int = 0o600) -> None:
        """Copy a file to the device, whole or not at all; `target` is an absolute path in an existing folder."""

    def pull(self, source: str, target: Path) -> None:
        """Copy a file from the device, whole or not at all."""

    def open_stream(self, argv: Sequence[str]) -> Stream:
        """Start a command and talk to it."""

    def close(self) -> None:
        """End the connection and the streams opened through it. Never raises, and may be called again."""
