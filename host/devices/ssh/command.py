"""A command as text for any login shell, and its output, separated from what that shell prints itself.

sshd hands every command to the user's login shell, which may be fish or tcsh, and may print a greeting. So the text
holds nothing that shells read differently: `/bin/sh` decodes it. The command's output is between marks that nobody
else can print, since they are drawn anew for each command.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
from dataclasses import dataclass, field

import paramiko

from ...errors import InputError

_MAX_COMMAND_BYTES = 100_000  # Linux takes 128 KiB in one argument of the shell, sshd 256 KiB in a packet
MAX_NOISE_BYTES = 1 << 20
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:=,+-")
# $1 is a backslash, $2 a program in which every other character than the safe ones is % and three octal digits.
_DECODE = 'eval "$(printf %b "$(printf %s "$2" | sed "s/%/$1${1}0/g")")"'


class LoginShellError(OSError):
    """What came is not the command's output, and the login shell is why."""


@dataclass(frozen=True)
class Command:
    """An argument list that `/bin/sh` on the device runs. It says its process id on stderr, after `pid_mark`.

    With `reports_exit_code` that shell stays, and prints a second mark and the command's exit code on stdout; else it
    becomes the command, as a stream needs it.

    Raises: `InputError` for an empty or an overlong command, or a NUL in it.
    """

    argv: tuple[str, ...]
    reports_exit_code: bool = False
    _nonce: str = field(default_factory=lambda: f"edgewright-{secrets.token_hex(8)}")

    def __post_init__(self) -> None:
        if not self.argv:
            raise InputError("a command needs at least the name of a program; got an empty list")
        if any("\0" in word for word in self.argv):
            raise InputError(f"an argument of a command cannot contain a NUL character; got {list(self.argv)!r:.300}")
        if len(self.line) > _MAX_COMMAND_BYTES:
            raise InputError(
                f"the command {self.argv[0]!r:.100} is {len(self.line)} bytes long, and SSH carries at most "
                f"{_MAX_COMMAND_BYTES}; put long arguments into a file and push it"
            )

    @property
    def line(self) -> bytes:
        """The text for the login shell; the command has the id that sshd made a process group of."""
        return b"exec /bin/sh -c '" + _DECODE.encode() + b"' sh \\\\ '" + _encoded(self._program) + b"'"

    @property
    def _program(self) -> str:
        begin = f'printf "%s\\n" {self._nonce}; printf "%s %s\\n" {self._nonce} $$ >&2; '
        words = shlex.join(self.argv)
        if not self.reports_exit_code:
            return f"{begin}exec {words}"
        return f'{begin}{words}; code=$?; printf "%s %s\\n" {self._nonce} $code; exit $code'

    def begun(self, data: bytes) -> bytes | None:
        """What of `data` comes after the first mark; None where it has not come yet.

        Raises `LoginShellError` where it is not to be expected any more, and for a line end that was changed.
        """
        mark = self._nonce.encode()
        _, found, rest = data.partition(mark)
        if not found:
            if len(data) > MAX_NOISE_BYTES:
                raise LoginShellError(f"its login shell prints too much before any command: {data[:80]!r}...")
            return None
        if rest.startswith(b"\r"):
            raise LoginShellError(
                "its login shell changes line ends, as a terminal does; let its startup files and ForceCommand run "
                "commands without a terminal"
            )
        return rest[1:] if rest else None

    def is_begun_on(self, channel: paramiko.Channel, timeout_s: float) -> bool:
        """Read a channel up to the first mark, and no further if the command prints nothing.

        False where the command, or the login shell, ends before. Raises `TimeoutError`.
        """
        channel.settimeout(timeout_s)
        data = b""
        while self.begun(data) is None:
            if not (byte := channel.recv(1)):
                return False
            data += byte
        return True

    def ended(self, output: bytes) -> tuple[bytes, int | None]:
        """The output up to the last mark, and the exit code there; all of it and None where the mark has not come."""
        match = re.search(re.escape(self._nonce.encode()) + rb" ([0-9]+)\n", output)
        return (output, None) if match is None else (output[: match.start()], int(match[1]))

    @property
    def pid_mark(self) -> re.Pattern[bytes]:
        return re.compile(re.escape(self._nonce.encode()) + rb" ([0-9]+)\r?\n")


def _encoded(program: str) -> bytes:
    return b"".join(
        bytes([byte]) if byte in _SAFE else f"%{byte:03o}".encode() for byte in os.fsencode(program)
    )  # fmt: skip
