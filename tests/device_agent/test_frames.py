from __future__ import annotations

import io
import json
import struct
import zlib

import numpy as np
import pytest
from edgewright.device_agent.frames import (
    MAGIC,
    MAX_HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    FrameError,
    LinkClosed,
    encode_frame,
    read_frame,
    write_frame,
)


def raw(header: bytes, payload: bytes = b"") -> bytes:
    lengths = struct.pack(">II", len(header), len(payload))
    return MAGIC + lengths + struct.pack(">I", zlib.crc32(lengths + header + payload)) + header + payload


class Trickle(io.BytesIO):
    """Gives one byte a read and takes three a write, as pipes may."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(1)

    def write(self, data: object) -> int:
        return super().write(bytes(memoryview(data)[:3]))  # type: ignore[call-overload]


def test_round_trip_over_short_reads_and_writes() -> None:
    stream = Trickle()
    write_frame(stream, {"op": "ping", "text": "ü"}, b"\0\1\2")
    write_frame(stream, {})
    stream.seek(0)
    assert read_frame(stream) == ({"op": "ping", "text": "ü"}, b"\0\1\2")
    assert read_frame(stream) == ({}, b"")
    with pytest.raises(LinkClosed):
        read_frame(stream)


def test_layout_is_the_documented_one() -> None:
    assert encode_frame({"a": 1}, b"xyz") == raw(b'{"a":1}', b"xyz")


@pytest.mark.parametrize("keep", [1, 15, 16, 20, -1])
def test_truncated_frame_is_an_error(keep: int) -> None:
    with pytest.raises(FrameError, match="before the end"):
        read_frame(io.BytesIO(encode_frame({"op": "ping"}, b"payload")[:keep]))


def test_every_flipped_bit_is_noticed() -> None:
    good = encode_frame({"op": "x"}, b"abc")
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FrameError):
            read_frame(io.BytesIO(bytes(bad)))


@pytest.mark.parametrize("lengths", [(MAX_HEADER_BYTES + 1, 0), (2, MAX_PAYLOAD_BYTES + 1), (0xFFFFFFFF, 0xFFFFFFFF)])
def test_oversize_is_refused_before_it_is_read(lengths: tuple[int, int]) -> None:
    stream = io.BytesIO(struct.pack(">4sIII", MAGIC, *lengths, 0) + b"never read")
    with pytest.raises(FrameError, match="too large"):
        read_frame(stream)
    assert stream.read() == b"never read"


@pytest.mark.parametrize("header", [b"[]", b"1", b"null", b"{", b"\xff\xfe", b"", b"[" * 500_000])
def test_header_must_be_a_json_object(header: bytes) -> None:
    with pytest.raises(FrameError, match="header"):
        read_frame(io.BytesIO(raw(header)))


def test_too_large_to_send() -> None:
    with pytest.raises(FrameError, match="too large"):
        encode_frame({"text": "x" * MAX_HEADER_BYTES})


def test_random_bytes_never_pass_nor_crash() -> None:
    rng = np.random.default_rng(0)
    for _ in range(2000):
        data = MAGIC * int(rng.integers(2)) + rng.bytes(int(rng.integers(1, 60)))
        with pytest.raises(FrameError):
            read_frame(io.BytesIO(data))


def test_json_of_any_kind_survives() -> None:
    header = {"numbers": [1, 2.5, None, True], "nested": {"a": []}}
    assert read_frame(io.BytesIO(raw(json.dumps(header).encode()))).header == header
