"""Writes and reads the frames of the agent's protocol: a fixed prefix, a JSON object, a binary payload.

    4 bytes  magic "EWF1"
    4 bytes  length of the JSON header, big endian
    4 bytes  length of the payload
    4 bytes  crc32 over both lengths, header and payload
    header   UTF-8 JSON object
    payload  bytes

Any violation raises `FrameError`. The stream is then out of step and must be closed.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any, NamedTuple

MAGIC = b"EWF1"
MAX_HEADER_BYTES = 1 << 20
MAX_PAYLOAD_BYTES = 64 << 20
_PREFIX = struct.Struct(">4sIII")
_LENGTHS = struct.Struct(">II")


class FrameError(ValueError):
    """Bytes that are not a frame, or an incomplete frame."""


class LinkClosed(EOFError):
    """The other side closed the stream between two frames."""


class Frame(NamedTuple):
    header: dict[str, Any]
    payload: bytes


def encode_frame(header: dict[str, Any], payload: bytes = b"") -> bytes:
    """The bytes of one frame. Raises `FrameError` when it is larger than the other side would accept."""
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    _check_lengths(len(text), len(payload))
    return b"".join((_PREFIX.pack(MAGIC, len(text), len(payload), _checksum(text, payload)), text, payload))


def write_frame(stream: Any, header: dict[str, Any], payload: bytes = b"") -> None:
    """Write one frame to a binary file object; the stream may take it in several writes."""
    rest = memoryview(encode_frame(header, payload))
    while rest:
        written = stream.write(rest)
        rest = rest[len(rest) if written is None else written :]
    stream.flush()


def read_frame(stream: Any) -> Frame:
    """Read one frame from a binary file object, which may return fewer bytes than requested.

    Raises `LinkClosed` at a clean end, and `FrameError` for a wrong magic, size, checksum or header and for an end
    inside a frame. Checks sizes before it allocates memory for them.
    """
    prefix = _read_exactly(stream, _PREFIX.size, at_start=True)
    magic, header_length, payload_length, checksum = _PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise FrameError(f"not a frame: it starts with {magic!r} instead of {MAGIC!r}")
    _check_lengths(header_length, payload_length)
    text = _read_exactly(stream, header_length)
    payload = _read_exactly(stream, payload_length)
    if _checksum(text, payload) != checksum:
        raise FrameError(f"checksum of a frame of {header_length} + {payload_length} bytes does not match")
    return Frame(_parse_header(text), payload)


def _check_lengths(header_length: int, payload_length: int) -> None:
    if header_length > MAX_HEADER_BYTES or payload_length > MAX_PAYLOAD_BYTES:
        raise FrameError(
            f"frame too large: header {header_length} bytes (limit {MAX_HEADER_BYTES}), "
            f"payload {payload_length} bytes (limit {MAX_PAYLOAD_BYTES})"
        )


def _checksum(text: bytes, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(text, zlib.crc32(_LENGTHS.pack(len(text), len(payload)))))


def _parse_header(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise FrameError(f"frame header is no JSON: {error}") from error
    if not isinstance(header, dict):
        raise FrameError(f"frame header is a JSON {type(header).__name__}, not an object")
    return header


def _read_exactly(stream: Any, size: int, at_start: bool = False) -> bytes:
    parts = []
    missing = size
    while missing:
        part = stream.read(missing)
        if not part:
            if at_start and missing == size:
                raise LinkClosed("the other side closed the stream")
            raise FrameError(f"stream ended {missing} bytes before the end of a frame")
        parts.append(part)
        missing -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
