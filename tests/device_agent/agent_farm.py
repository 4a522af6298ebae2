"""Serves one byte stream after the other with an agent each, in one process: a link that breaks costs no start.

stdin: for each stream its length (4 bytes, big endian) and its bytes. stdout: for each a line of JSON {"code": what
`serve` returned, "error": a traceback or null, "rss", "descriptors", "length"}, then the bytes the agent wrote.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
import tempfile
import traceback
from pathlib import Path

from edgewright.device_agent.link import HostLink
from edgewright.device_agent.memory import status_bytes
from edgewright.device_agent.server import Agent

LIMIT_S = 20


def serve(home: Path, data: bytes) -> tuple[dict[str, object], bytes]:
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as sink:
        source.write(data)
        source.flush()
        source.seek(0)
        code, error, agent = None, None, None
        signal.alarm(LIMIT_S)
        try:
            agent = Agent(HostLink(source.fileno(), sink.fileno()), home, 1 << 20)
            code = agent.serve()
        except BaseException:
            error = traceback.format_exc()
        finally:
            signal.alarm(0)
            if agent is not None:
                vars(agent).clear()  # it has put itself out of the garbage collector's reach
        sink.seek(0)
        written = sink.read()
    descriptors = len(os.listdir("/proc/self/fd"))
    return {"code": code, "error": error, "rss": status_bytes("VmRSS"), "descriptors": descriptors}, written


def too_long(*_: object) -> None:
    raise TimeoutError(f"the agent did not end within {LIMIT_S} s after the last byte")


def main(home: Path) -> None:
    signal.signal(signal.SIGALRM, too_long)
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while length := source.read(4):
        result, written = serve(home, source.read(struct.unpack(">I", length)[0]))
        sink.write(json.dumps({**result, "length": len(written)}).encode() + b"\n" + written)
        sink.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
