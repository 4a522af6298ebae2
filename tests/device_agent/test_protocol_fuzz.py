"""20,000 frames that no host would send: the agent refuses them or closes, and stays as it was.

Each of the two large tests asserts how many it has sent: 15,000 whole ones, 5,000 in streams that break.
"""

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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from edgewright.device_agent import PROTOCOL_VERSION
from edgewright.device_agent.frames import MAGIC, MAX_HEADER_BYTES, MAX_PAYLOAD_BYTES, LinkClosed, read_frame
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES, FRAMES_EACH = 1500, 10
STREAMS, FRAMES_BEFORE = 1250, 4
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
    each = {"timing": TIMING, "template_sha": ZEROS, "places": [[0, 1]], "stored": [], "gates_bytes": 4}
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
        "spool_read": {"key": key, "place": [0, 1]},
        "spool_drop": {"key": key, "places": [[0, 1]]},
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


def keeps_the_agent(request: tuple[dict[str, Any], bytes]) -> bool:
    """Whether a request leaves it with enough patience for this test: a silence of 0.5 s is valid, too."""
    header = request[0]
    return header.get("op") not in ("bye", "heartbeat") and (
        header.get("op") != "hello" or header.get("silence_s") != 0.5
    )


class Running:
    """A real agent on pipes, in a folder of its own with nothing but its home in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("work", "tmp", "user"):
            (folder / name).mkdir()
        variables = {**os.environ, "HOME": str(folder / "user"), "TMPDIR": str(folder / "tmp")}
        argv = [sys.executable, "-m", "edgewright.device_agent", "--home", str(folder / "home"), "--quota-mib", "1"]
        self._stderr = open(folder.parent / "stderr", "w+b")
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, cwd=folder / "work", env=variables
        )

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

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self._stderr):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "device").mkdir()
    running = Running(tmp_path / "device")
    yield running
    running.stop()


def put(model: bytes) -> tuple[str, bytes]:
    sha = hashlib.sha256(model).hexdigest()
    return sha, frame({"op": "blob_put", "id": 0, "sha": sha, "size": len(model), "offset": 0}, model)


def operations(agent: Running) -> list[str]:
    """What the agent says it knows, so that an operation added later is fuzzed too."""
    said = agent.ask(frame({"op": "?", "id": 0}))["error"]["message"]
    return said.partition("this agent knows ")[2].split(", ")


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


def test_whole_frames_are_answered_and_change_nothing(agent: Running, small_model: bytes) -> None:
    """15,000 of them to one agent: an answer to each, no growth, no child or descriptor left, no stray file."""
    names = operations(agent)
    assert set(names) == set(requests("")), "a new operation needs an example of its request here"
    sha, pushed = put(small_model)
    agent.ask(frame(HELLO))
    sent = 0
    warm: list[tuple[int, int, int]] = []
    request = odd_requests([*names, "format_disk", ""], sha).filter(keeps_the_agent)

    @settings(max_examples=EXAMPLES, **FUZZ)
    @given(st.lists(request, min_size=FRAMES_EACH, max_size=FRAMES_EACH))
    def fuzz(batch: list[tuple[dict[str, Any], bytes]]) -> None:
        nonlocal sent
        agent.ask(frame(HELLO))
        assert "ok" in agent.ask(pushed)
        for header, payload in batch:
            reply = agent.ask(frame(header, payload))
            identity = header.get("id")
            plain = type(identity) is int and 0 <= identity < 1 << 53
            assert reply["re"] == (identity if plain else None)
            assert ("ok" in reply) != ("error" in reply)
            assert "ok" in reply or (reply["error"]["kind"] and 0 < len(reply["error"]["message"]) < 2000)
            sent += 1
        if sent == 3000:
            warm.append(agent.state())

    fuzz()
    assert sent >= 15_000
    rss, descriptors, children = agent.state()
    assert rss - warm[0][0] < 4 * MIB and descriptors == warm[0][1] and children == 0
    code, rest, stderr = agent.end()
    assert (code, rest) == (0, b"") and "Traceback" not in stderr
    check_home(agent.folder)


def cut(data: bytes, at: int) -> bytes:
    return data[: 1 + at % (len(data) - 1)]


def flip(data: bytes, at: int) -> bytes:
    """One bit of what the checksum covers, or of the checksum."""
    position = 12 + at % (len(data) - 12)
    return data[:position] + bytes([data[position] ^ 1 << at % 8]) + data[position + 1 :]


PING = frame({"op": "ping", "id": 7}, b"payload")
# What ends a link, from a number that hypothesis chooses.
BREAKS: dict[str, Callable[[int], bytes]] = {
    "cut": lambda at: cut(PING, at),
    "flipped": lambda at: flip(PING, at),
    "magic": lambda at: bytes([PING[0] ^ (1 + at % 255)]) + PING[1:],
    "other protocol": lambda at: b"GET / HTTP/1.1\r\nHost: device\r\n\r\n",
    "header too large": lambda at: struct.pack(">4sIII", MAGIC, MAX_HEADER_BYTES + 1 + at, 0, 0),
    "payload too large": lambda at: struct.pack(">4sIII", MAGIC, 2, MAX_PAYLOAD_BYTES + 1 + at, 0) + b"{}",
    "no JSON": lambda at: raw_frame(b"{'op': 'ping'}"[at % 14 :] + b"!"),
    "no UTF-8": lambda at: raw_frame(b'{"op": "\xff\xfe"}'),
    "no object": lambda at: frame([[], 1, "hello", None, [HELLO]][at % 5]),
    "too deep": lambda at: raw_frame(b'{"op":' * (5000 + at % 90_000)),
    "too many digits": lambda at: raw_frame(b'{"op": "ping", "id": ' + b"9" * (5000 + at % 9000) + b"}"),
    "noise": lambda at: hashlib.sha512(str(at).encode()).digest(),
}


@st.composite
def streams(draw: st.DrawFn, names: list[str], model_sha: str, pushed: bytes) -> tuple[bytes, int, bool]:
    """Bytes of a whole conversation, the frames in them, and whether it must end in an error of the link.

    Some begin with a greeting, some with requests before it; most end with a break, some with bye, some just end.
    """
    parts = [frame(HELLO), pushed] if draw(st.booleans()) else []
    quiet = [name for name in names if name not in ("measure", "run", "measure_each")]
    busy = draw(st.integers(0, 9)) == 0
    request = odd_requests([*(names if busy else quiet), "heartbeat"], model_sha)
    parts += [frame(*draw(request)) for _ in range(FRAMES_BEFORE)]
    end = draw(st.sampled_from([*BREAKS, *BREAKS, "bye", "end"]))
    if end in BREAKS:
        parts.append(BREAKS[end](draw(st.integers(0, 1 << 20))))
    elif end == "bye":
        parts.append(frame({"op": "bye", "id": 1}))
    if end != "cut" and draw(st.booleans()):
        parts.append(frame({"op": "ping", "id": 1}))
    return b"".join(parts), len(parts), end in BREAKS and not busy


def frames_of(data: bytes) -> list[dict[str, Any]]:
    """All frames in `data`, and nothing beside them."""
    source, found = io.BytesIO(data), []
    while True:
        try:
            found.append(read_frame(source).header)
        except LinkClosed:
            return found


class Farm:
    """The process of agent_farm.py."""

    def __init__(self, folder: Path) -> None:
        argv = [sys.executable, str(Path(__file__).with_name("agent_farm.py")), str(folder / "home")]
        for name in ("work", "tmp", "user"):
            (folder / name).mkdir()
        variables = {**os.environ, "HOME": str(folder / "user"), "TMPDIR": str(folder / "tmp")}
        self._stderr = open(folder.parent / "farm-stderr", "wb")
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, cwd=folder / "work", env=variables
        )

    def serve(self, data: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(struct.pack(">I", len(data)) + data)
        self.process.stdin.flush()
        result = json.loads(self.process.stdout.readline())
        return result, frames_of(self.process.stdout.read(result["length"]))

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self._stderr):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    (tmp_path / "device").mkdir()
    running = Farm(tmp_path / "device")
    yield running
    running.stop()


def test_a_broken_stream_is_closed_with_an_error(farm: Farm, tmp_path: Path, small_model: bytes) -> None:
    """5,000 frames in streams that break: exit code 0 or 1, whole frames on stdout to the last byte."""
    sha, pushed = put(small_model)
    sent, served = 0, []

    @settings(max_examples=STREAMS, **FUZZ)
    @given(streams(list(requests("")), sha, pushed))
    def fuzz(stream: tuple[bytes, int, bool]) -> None:
        nonlocal sent
        data, n_frames, breaks = stream
        result, replies = farm.serve(data)
        assert result["error"] is None and result["code"] in (0, 1)
        if breaks:
            assert result["code"] == 1 and replies[-1]["re"] is None and replies[-1]["error"]["kind"] == "frame"
        sent += n_frames
        served.append((result["rss"], result["descriptors"]))

    fuzz()
    assert sent >= 5_000
    assert served[-1][0] - served[300][0] < 4 * MIB and served[-1][1] == served[300][1]
    check_home(tmp_path / "device")


@pytest.mark.parametrize("kind", BREAKS)
def test_a_real_process_ends_with_code_1_and_without_a_traceback(agent: Running, kind: str) -> None:
    agent.ask(frame(HELLO))
    code, out, stderr = agent.end(BREAKS[kind](12345))
    assert code == 1 and "Traceback" not in stderr and "edgewright agent: ends" in stderr
    assert frames_of(out)[-1]["error"]["kind"] == "frame"
    check_home(agent.folder)


@pytest.mark.parametrize("name", PATHS, ids=repr)
def test_no_name_leaves_the_folder(agent: Running, name: str) -> None:
    """A delivery's name is a plain file name or is refused; so are a campaign's key and a blob's hash."""
    agent.ask(frame(HELLO))
    agent.ask(frame({"op": "blob_put", "id": 1, "sha": CHUNK_SHA, "size": 4, "offset": 0}, CHUNK))
    reply = agent.ask(frame({"op": "deliver", "id": 2, "sha": CHUNK_SHA, "name": name}))
    if name in ("CON", "model.tflite"):
        assert Path(reply["ok"]["path"]) == (agent.folder / "home" / "artifacts" / name).resolve()
    else:
        assert reply["error"]["kind"] == "blob"
    for refused in (
        {"op": "spool_drop", "key": name, "places": [[0, 1]]},
        {"op": "spool_list", "key": name},
        {"op": "spool_read", "key": name, "place": [0, 1]},
        {"op": "blob_stat", "sha": name},
        {"op": "measure", "model_sha": name, "timing": TIMING},
        {"op": "measure", "template_sha": name, "timing": TIMING},
    ):
        assert "error" in agent.ask(frame({"id": 3, **refused}))
    assert agent.end()[0] == 0
    check_home(agent.folder)
    assert {path.name for path in (agent.folder / "home" / "artifacts").iterdir()} <= {"CON", "model.tflite"}


def test_a_very_large_value_is_refused_in_few_words(agent: Running, small_model: bytes) -> None:
    """An answer that repeats it would be larger than a frame may be."""
    sha, pushed = put(small_model)
    agent.ask(frame(HELLO))
    agent.ask(pushed)
    large = ["x" * 900_000, [[1] * 100_000], {"x" * 900_000: 1}]
    for name, fields in requests(sha).items():
        for field in ("op", *fields):
            for value in large:
                reply = agent.ask(frame({"op": name, "id": 5, **fields, field: value}))
                assert reply["re"] == 5 and len(reply["error"]["message"]) < 2000, (name, field)
    for field in TIMING:
        for value in large:
            timing = {**TIMING, field: value}
            reply = agent.ask(frame({"op": "measure", "id": 5, "model_sha": sha, "timing": timing}))
            assert reply["re"] == 5 and len(reply["error"]["message"]) < 2000, field
