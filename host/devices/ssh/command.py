"""A command as text for any login shell.

sshd hands every command to the user's login shell, which may be fish or tcsh. So the text holds nothing that shells
read differently: `/bin/sh` decodes it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import paramiko

from ...errors import InputError
from ..marks import Command

_MAX_COMMAND_BYTES = 100_000  # Linux takes 128 KiB in one argument of the shell, sshd 256 KiB in a packet
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:=,+-")
# $1 is a backslash, $2 a program in which every other character than the safe ones is % and three octal digits.
_DECODE = 'eval "$(printf %b "$(printf %s "$2" | sed "s/%/$1${1}0/g")")"'


@dataclass(frozen=True)
class LoginCommand(Command):
    """A command for a login shell. Raises: `InputError` as `Command`, and for an overlong one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.line) > _MAX_COMMAND_BYTES:
            raise InputError(
                f"the command {self.argv[0]!r:.100} is {len(self.line)} bytes long, and SSH carries at most "
                f"{_MAX_COMMAND_BYTES}; put long arguments into a file and push it"
            )

    @property
    def line(self) -> bytes:
        """The text for the login shell; the command has the id that sshd made a process group of."""
        return b"exec /bin/sh -c '" + _DECODE.encode() + b"' sh \\\\ '" + _encoded(self.program) + b"'"

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


def _encoded(program: str) -> bytes:
    return b"".join(
        bytes([byte]) if byte in _SAFE else f"%{byte:03o}".encode() for byte in os.fsencode(program)
    )  # fmt: skip
