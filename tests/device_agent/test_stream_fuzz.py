"""Streams that break: the agent closes, whole frames on stdout to the last byte."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edgewright.device_agent.frames import MAGIC, MAX_HEADER_BYTES, MAX_PAYLOAD_BYTES
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device_agent.odd_frames import (
    FUZZ,
    HELLO,
    MIB,
    Farm,
    Running,
    check_home,
    frame,
    frames_of,
    odd_requests,
    put,
    raw_frame,
    requests,
)

STREAMS, FRAMES_BEFORE = 1250, 4


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


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path / "device") as agent:
        yield agent


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    with Farm(tmp_path / "device") as farm:
        yield farm


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
