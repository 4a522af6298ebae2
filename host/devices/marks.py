"""A command between marks: what a device's shell prints of its own accord is no part of the command's output.

Login shells have greetings, and vendors' shells and linkers print warnings. The marks are drawn anew for each command,
so that nobody else prints them.
"""

from __future__ import annotations

import re
import secrets
import shlex
from dataclasses import dataclass, field

from ..errors import InputError

_MAX_NOISE_BYTES = 1 << 20


class ShellError(OSError):
    """What came is not the command's output, and the device's shell is why."""


@dataclass(frozen=True)
class Command:
    """An argument list that `/bin/sh` on the device runs. It says its process id on stderr, after its mark there.

    With `reports_exit_code` that shell stays and ends both outputs with a mark and the command's exit code; else it
    becomes the command, as a stream needs it. `then` runs in the same shell if the first command succeeds.

    Raises: `InputError` for an empty command, or a NUL in it.
    """

    argv: tuple[str, ...]
    reports_exit_code: bool = False
    then: tuple[str, ...] = ()
    _nonce: str = field(default_factory=lambda: f"edgewright-{secrets.token_hex(8)}")

    def __post_init__(self) -> None:
        if not self.argv:
            raise InputError("a command needs at least the name of a program; got an empty list")
        if any("\0" in word for word in (*self.argv, *self.then)):
            raise InputError(f"an argument of a command cannot contain a NUL character; got {list(self.argv)!r:.300}")

    @property
    def program(self) -> str:
        """The text for `/bin/sh`. It uses `echo`, which is built into the shells of all devices."""
        begin = f"echo {self._nonce}; echo {self._nonce} $$ >&2; "
        words = shlex.join(self.argv)
        if self.then:
            words += f" && {shlex.join(self.then)}"
        if not self.reports_exit_code:
            return f"{begin}exec {words}"
        return f"{begin}{words}; code=$?; echo {self._nonce} $code; echo {self._nonce} $code >&2; exit $code"

    def begun(self, data: bytes) -> bytes | None:
        """What of `data` comes after the first mark; None where it has not come yet.

        Raises `ShellError` where it is not to be expected any more, and for a line end that was changed.
        """
        match = re.search(self._mark + rb"(\r?)\n", data)
        if match is None:
            if len(data) > _MAX_NOISE_BYTES:
                raise ShellError(f"its shell prints too much before any command: {data[:80]!r}...")
            return None
        if match[1]:
            raise ShellError(
                "its shell changes line ends, as a terminal does; let its startup files and ForceCommand run commands "
                "without a terminal"
            )
        return data[match.end() :]

    def ended(self, output: bytes) -> tuple[bytes, int | None]:
        """The output up to the last mark, and the exit code there; all of it and None where the mark has not come."""
        match = re.search(self._mark + rb" ([0-9]+)\n", output)
        return (output, None) if match is None else (output[: match.start()], int(match[1]))

    @property
    def pid_mark(self) -> re.Pattern[bytes]:
        return re.compile(self._mark + rb" ([0-9]+)\r?\n")

    @property
    def _mark(self) -> bytes:
        return re.escape(self._nonce.encode())


class Output:
    """Drops what of a stdout comes before the command's own."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self._noise: bytes | None = b""

    @property
    def noise(self) -> bytes | None:
        """What came instead of the command's output; None once that has begun."""
        return self._noise

    def after_mark(self, data: bytes) -> bytes:
        """The command's part of what came next. Raises `ShellError`."""
        if self._noise is None:
            return data
        self._noise += data
        begun = self._command.begun(self._noise)
        if begun is None:
            return b""
        self._noise = None
        return begun


class Errors:
    """Keeps the last bytes of a stderr, without what comes before the command's own."""

    def __init__(self, command: Command, limit_bytes: int | None) -> None:
        """`limit_bytes` is how much is kept, None for all."""
        self._command = command
        self._limit_bytes = limit_bytes
        self._bytes = bytearray()
        self.pid: int | None = None
        self.is_pid_settled = False  # True also where it is not to be expected any more

    def take(self, data: bytes) -> None:
        self._bytes += data
        if not self.is_pid_settled:
            self._look_for_pid()
        if self.is_pid_settled and self._limit_bytes is not None:
            del self._bytes[: max(0, len(self._bytes) - self._limit_bytes)]

    def kept(self) -> bytes:
        """Up to the last mark, where it has come."""
        return self._command.ended(bytes(self._bytes))[0]

    def _look_for_pid(self) -> None:
        match = self._command.pid_mark.search(self._bytes)
        if match is not None:
            self.pid = int(match[1])
            del self._bytes[: match.end()]
        self.is_pid_settled = self.pid is not None or len(self._bytes) > _MAX_NOISE_BYTES
