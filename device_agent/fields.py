"""Reads and checks the fields of a request. An error names the field that has the wrong type, range or size."""

from __future__ import annotations

import numpy as np

from .frames import Frame
from .runtimes.base import Call
from .spool import JobId, SpoolError, check_job_id
from .timing import TimingProtocol

_DTYPES = ("float32", "float16", "int8", "uint8", "int32", "int64", "bool")
_MAX_JOBS = 4096
_MAX_ARRAYS = 64


class RequestError(ValueError):
    """The agent refuses a request; `kind` tells the host why."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def text_field(frame: Frame, name: str) -> str:
    value = frame.header.get(name)
    if not isinstance(value, str):
        raise RequestError("bad_request", f"{name} must be a string, got {value!r:.100}")
    return value


def integer_field(frame: Frame, name: str, low: int, high: int) -> int:
    value = frame.header.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise RequestError("bad_request", f"{name} must be an integer in [{low}, {high}], got {value!r:.100}")
    return value


def number_field(frame: Frame, name: str, low: float, high: float) -> float:
    value = frame.header.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise RequestError("bad_request", f"{name} must be a number in [{low:g}, {high:g}], got {value!r:.100}")
    return float(value)


def timing_field(frame: Frame) -> TimingProtocol:
    try:
        return TimingProtocol.from_json(frame.header.get("timing"))
    except ValueError as error:
        raise RequestError("bad_request", str(error)) from error


def call_field(frame: Frame) -> Call:
    """`signature`, a string or null, and `shapes`, a list of sizes per input name; both are optional."""
    signature, shapes = frame.header.get("signature"), frame.header.get("shapes", {})
    if signature is not None and not isinstance(signature, str):
        raise RequestError("bad_request", f"signature must be a string or null, got {signature!r:.100}")
    if not isinstance(shapes, dict) or len(shapes) > _MAX_ARRAYS or not all(map(_is_shape, shapes.values())):
        raise RequestError(
            "bad_request",
            f"shapes must map names of at most {_MAX_ARRAYS} inputs to lists of at most 8 positive integers, got "
            f"{shapes!r:.200}",
        )
    return Call(signature, {name: tuple(shape) for name, shape in shapes.items()})


def flag_field(frame: Frame, name: str) -> bool:
    """False when the request does not have it."""
    value = frame.header.get(name, False)
    if not isinstance(value, bool):
        raise RequestError("bad_request", f"{name} must be true or false, got {value!r:.100}")
    return value


def arrays_field(frame: Frame, data: bytes) -> list[np.ndarray]:
    """The arrays that `inputs`, a list of {"shape", "dtype"}, describes; `data` holds them one after the other."""
    described = frame.header.get("inputs")
    if not isinstance(described, list) or not 0 < len(described) <= _MAX_ARRAYS:
        raise RequestError("bad_request", f"inputs must be a list of 1 to {_MAX_ARRAYS} arrays, got {described!r:.100}")
    arrays, start = [], 0
    for entry in described:
        shape, dtype, size = _array_of(entry)
        if start + size > len(data):
            raise RequestError("bad_request", f"inputs {described!r:.200} do not fill {len(data)} bytes")
        arrays.append(np.frombuffer(data[start : start + size], dtype).reshape(shape))
        start += size
    if start != len(data):
        raise RequestError("bad_request", f"inputs {described!r:.200} do not fill {len(data)} bytes")
    return arrays


def _array_of(entry: object) -> tuple[list[int], str, int]:
    """Shape, dtype and size in bytes."""
    shape, dtype = (entry.get("shape"), entry.get("dtype")) if isinstance(entry, dict) else (None, None)
    if dtype not in _DTYPES:
        raise RequestError("bad_request", f"dtype must be one of {', '.join(_DTYPES)}, got {dtype!r:.100}")
    if not isinstance(shape, list) or not _is_shape(shape):
        raise RequestError("bad_request", f"shape must be a list of at most 8 positive integers, got {shape!r:.100}")
    elements = 1
    for size in shape:
        elements *= size
    return shape, dtype, elements * np.dtype(dtype).itemsize


def _is_shape(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= 8
        and all(isinstance(size, int) and not isinstance(size, bool) and 0 < size <= 1 << 30 for size in value)
    )


def jobs_field(frame: Frame, name: str) -> list[JobId]:
    """A list of [position, attempt]."""
    value = frame.header.get(name)
    if not isinstance(value, list) or len(value) > _MAX_JOBS:
        raise RequestError("bad_request", f"{name} must be a list of at most {_MAX_JOBS} job ids, got {value!r:.100}")
    try:
        return [check_job_id(entry) for entry in value]
    except SpoolError as error:
        raise RequestError("bad_request", f"{name}: {error}") from error
