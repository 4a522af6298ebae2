"""A device under test, and requests that many tests send to it.

They use only tools that an Android phone has, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ...devices.transport import Completed, Stream, Transport

HOSTILE = [
    "", " ", "two words", "tab\there", "line\nbreak", "'", '"', "it's \"quoted\"", "$HOME", "$(touch pwned)",
    "`touch pwned`", "; touch pwned;", "&& touch pwned", "| touch pwned", "> pwned", "*", "?", "[a-z]", "{a,b}", "~",
    "#", "!", "\\", "\\n", "\\'", "%s", "-n", "--", "../../etc/passwd", "ümlaut ☃ 字", "\r", "\x01\x7f", "x" * 20_000,
]  # fmt: skip
"""Arguments and file names that a careless quoting would change, or run."""


@dataclass
class Remote:
    """A device under test: a connection to it, and a folder of this test's own on it.

    `starts_here` says that commands are started by this very process, which knows at once of one that is not there; on
    a far device a shell says so by its exit code.
    """

    starts_here: bool
    transport: Transport
    folder: str
    reconnect: Callable[[], Transport]

    def sh(self, script: str, *arguments: str, timeout_s: float = 60) -> Completed:
        return self.transport.run(["sh", "-c", script, "sh", *arguments], timeout_s)

    def names(self) -> list[str]:
        """What is in the folder; `ls` is not used, because it may print names differently."""
        script = 'cd "$1" && for name in * .[!.]*; do if [ -e "$name" ]; then printf "%s/" "$name"; fi; done'
        done = self.sh(script, self.folder)
        assert done.returncode == 0, done
        return done.stdout.decode().split("/")[:-1]

    def content(self, path: str) -> bytes:
        return self.transport.run(["cat", path], 60).stdout


def read_all(stream: Stream, timeout_s: float = 60) -> bytes:
    parts = []
    while part := stream.read(1 << 16, timeout_s):
        parts.append(part)
    return b"".join(parts)


def read_exactly(stream: Stream, size: int) -> bytes:
    data = b""
    while len(data) < size and (part := stream.read(size - len(data), 60)):
        data += part
    return data


def read_line(stream: Stream) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        part = stream.read(1, 60)
        assert part, "the stream ended in the middle of a line"
        line += part
    return line


def is_running(transport: Transport, pid: int) -> bool:
    """Whether the device runs that process; one that only waits to be reaped by its parent has ended."""
    state = transport.run(["cat", f"/proc/{pid}/stat"], 60).stdout.rpartition(b")")[2].split()
    return bool(state) and state[0] not in (b"Z", b"X")


def ends_soon(transport: Transport, pid: int) -> bool:
    deadline = time.monotonic() + 10
    while is_running(transport, pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True

