"""Frames that no host would send, and the agents that they are sent to."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright.device_agent import PROTOCOL_VERSION
from edgewright.device_agent.frames import MAGIC, LinkClosed, read_frame
from hypothesis import HealthCheck
from hypothesis import strategies as st

if TYPE_CHECKING:
    from typing_extensions import Self

MIB = 1 << 20
FUZZ: dict[str, Any] = {
    "deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck),
}  # fmt: skip
ZEROS = "0" * 64
CHUNK = b"four"
CHUNK_SHA = hashlib.sha256(CHUNK).hexdigest()
HELLO = {"op": "hello", "protocol": PROTOCOL_VERSION, "heartbeat_s": 5.0, "silence_s": 60.0}
TIMING = {
    "n_warmup_min": 1, "warmup_max_ms": 1, "n_runs": 1, "min_time_ms": 0.1, "max_time_ms": 2, "timeout_s": 5,
    "threads": 1, "affinity": None, "memory_limit_mib": 64,
}  # fmt: skip
PATHS = [
    "../x", "a/b", "/etc/passwd", "..", ".", "", "-rf", "x\ny", "x y", "it's", 'a"b', "a;b", "$(reboot)", "`x`", "a\0b",
    "x" * 300, "\ud800", "\u202ename", "CON", "model.tflite",
]  # fmt: skip
ODD_NUMBERS = [0, -1, 1, 3, 0.5, 1e-9, 1e308, float("nan"), float("inf"), -float("inf"), 2**63, -(2**70), 10**400, True]
ODD = [
    None,
    *ODD_NUMBERS,
    *PATHS,
    ZEROS,
    ZEROS.upper(),
    [],
    [[]],
    [1, [2]],
    [1] * 9,
    [1 << 30] * 8,
    {},
    {"n_runs": "5"},
]


def requests(model_sha: str) -> dict[str, dict[str, Any]]:
    """One request of each kind that the agent would serve."""
    measured = {"timing": TIMING, "model_sha": model_sha}
    each = {"timing": TIMING, "template_sha": ZEROS, "jobs": [[0, 1]], "stored": [], "gates_bytes": 4}
    key = "0123456789abcdef" * 2
    return {
        "hello": HELLO,
        "ping": {},
        "facts": {},
        "health": {},
        "blob_stat": {"sha": ZEROS},
        "blob_put": {"sha": CHUNK_SHA, "size": len(CHUNK), "offset": 0},
        "measure": measured,
        "run": {**measured, "gates_bytes": 0, "inputs": [{"shape": [1], "dtype": "float32"}]},
        "deliver": {"sha": CHUNK_SHA, "name": "model.tflite"},
        "measure_each": {**each, "key": key},
        "spool_list": {"key": key},
        "spool_read": {"key": key, "job": [0, 1]},
        "spool_drop": {"key": key, "jobs": [[0, 1]]},
    }


def frame(header: Any, payload: bytes = b"") -> bytes:
    """As `encode_frame`, but for any JSON, and for NaN, which Python's JSON knows."""
    return raw_frame(json.dumps(header).encode(), payload)


def raw_frame(text: bytes, payload: bytes = b"") -> bytes:
    lengths = struct.pack(">II", len(text), len(payload))
    checksum = zlib.crc32(payload, zlib.crc32(text, zlib.crc32(lengths)))
    return MAGIC + lengths + struct.pack(">I", checksum) + text + payload


json_values = st.recursive(
    st.one_of(st.sampled_from(ODD), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)
odd_values = st.one_of(st.sampled_from(ODD), st.sampled_from(ODD), json_values)
ids = st.sampled_from([0, 1, 1, 2, None, -1, 1.5, "1", [1], True, 1 << 60, (1 << 53) - 1])
payloads = st.sampled_from([b"", b"", CHUNK, b"fou", b"four!", bytes(1000), b"\xff" * 33])


@st.composite
def odd_requests(draw: st.DrawFn, names: list[str], model_sha: str) -> tuple[dict[str, Any], bytes]:
    """A request that would be served, with up to three fields changed or missing; now and then an unknown one."""
    known = requests(draw(st.sampled_from([ZEROS, ZEROS, ZEROS, model_sha])))
    name = draw(st.sampled_from(names))
    header = {"op": name, "id": draw(ids), **known.get(name, {})}
    fields = [*header, "sha", "timing", "model_sha", "template_sha"]
    for _ in range(draw(st.integers(0, 3))):
        field = draw(st.sampled_from(fields))
        if draw(st.booleans()):
            header[field] = draw(odd_values)
        else:
            header.pop(field, None)
    if isinstance(header.get("timing"), dict) and draw(st.booleans()):
        change = {draw(st.sampled_from([*TIMING, "no_such_field"])): draw(st.sampled_from(ODD))}
        header["timing"] = {**TIMING, **change}
    return header, draw(payloads)


class OnPipes:
    """A process on pipes, in a folder of its own with nothing but its home in it."""

    def __init__(self, folder: Path, argv: list[str]) -> None:
        self.folder = folder
        for name in ("work", "tmp", "user"):
            (folder / name).mkdir(parents=True)
        variables = {**os.environ, "HOME": str(folder / "user"), "TMPDIR": str(folder / "tmp")}
        self._stderr = open(folder.parent / "stderr", "w+b")
        self.process = subprocess.Popen(
            [sys.executable, *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            cwd=folder / "work",
            env=variables,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self._stderr):
            assert pipe is not None
            pipe.close()


class Running(OnPipes):
    """A real agent."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, ["-m", "edgewright.device_agent", "--home", str(folder / "home"), "--quota-mib", "1"])

    def ask(self, data: bytes) -> dict[str, Any]:
        """The last frame that answers; records and heartbeats come before it."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()
        while True:
            header = read_frame(self.process.stdout).header
            if "heartbeat" not in header and "record" not in header:
                return header

    def state(self) -> tuple[int, int, int]:
        """Resident bytes, open descriptors, children."""
        proc = Path(f"/proc/{self.process.pid}")
        match = re.search(r"VmRSS:\s+(\d+) kB", (proc / "status").read_text())
        assert match is not None
        children = (proc / "task" / str(self.process.pid) / "children").read_text().split()
        return int(match[1]) * 1024, len(os.listdir(proc / "fd")), len(children)

    def end(self, data: bytes = b"") -> tuple[int, bytes, str]:
        """Send the last bytes; returns exit code, what came on stdout, and stderr."""
        out, _ = self.process.communicate(data, timeout=60)
        self._stderr.seek(0)
        return self.process.returncode, out, self._stderr.read().decode(errors="replace")


def put(model: bytes) -> tuple[str, bytes]:
    """A model's hash, and the frame that pushes it."""
    sha = hashlib.sha256(model).hexdigest()
    return sha, frame({"op": "blob_put", "id": 0, "sha": sha, "size": len(model), "offset": 0}, model)


def check_home(folder: Path) -> None:
    """Nothing beside the home, and in it nothing whose name came off the wire as a path."""
    assert sorted(path.name for path in folder.iterdir()) == ["home", "tmp", "user", "work"]
    for name in ("tmp", "user", "work"):
        assert list((folder / name).iterdir()) == []
    allowed = re.compile(
        r"(blobs/[0-9a-f]{64}(\.part)?|artifacts/[A-Za-z0-9_][A-Za-z0-9._-]*|spool/[0-9a-f]{32}(/\d+-\d+\.json)?"
        r"|blobs|artifacts|spool|measuring\.lock)\Z"
    )
    for path in (folder / "home").rglob("*"):
        assert allowed.match(str(path.relative_to(folder / "home"))), path


def frames_of(data: bytes) -> list[dict[str, Any]]:
    """All frames in `data`, and nothing beside them."""
    source, found = io.BytesIO(data), []
    while True:
        try:
            found.append(read_frame(source).header)
        except LinkClosed:
            return found


class Farm(OnPipes):
    """The process of agent_farm.py."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, [str(Path(__file__).with_name("agent_farm.py")), str(folder / "home")])

    def serve(self, data: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(struct.pack(">I", len(data)) + data)
        self.process.stdin.flush()
        result = json.loads(self.process.stdout.readline())
        return result, frames_of(self.process.stdout.read(result["length"]))
