"""The request loop: one reply per request, an error reply for what cannot be done, until the host is gone.

A request is {"op", "id", ...}; its reply {"re": id, "ok": {...}} or {"re": id, "error": {"kind", "message"}}. The first
request must be `hello`. The host sends {"op": "heartbeat"} now and then, which has no reply; while busy the agent sends
{"heartbeat": true}.

    hello      protocol, heartbeat_s, silence_s -> protocol, agent, runtime, runtime_version, runtime_error
    ping       [payload] -> the payload
    facts      -> facts of `facts.facts`
    health     -> readings of `facts.health`
    blob_stat  sha -> complete, bytes
    blob_put   sha, size, offset, payload = chunk -> complete, bytes (where to go on)
    measure    a model, timing -> the result of `measure.measure`, and emit_ms, agent_ms
    run        a model, timing, shape, dtype, payload -> shape, dtype, payload
    deliver    sha, name -> path, sha256
    bye        -> nothing; the agent ends

A model is named by `model_sha` (a pushed .tflite), or by `template_sha` (a pushed template) with the packed gates: in
`measure` they are the payload, in `run` the first `gates_bytes` of it.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple, Tuple

import numpy as np

from . import AGENT_VERSION, PROTOCOL_VERSION
from .blobs import DEFAULT_QUOTA_BYTES, BlobError, BlobStore, check_sha
from .facts import facts, health
from .frames import Frame, FrameError, LinkClosed
from .link import HostLink, request_id
from .measure import measure, run_batch
from .runtimes import RuntimeMissing, TfliteRuntime, find_runtime
from .timing import TimingProtocol

_TEMPLATES_KEPT = 2
_DTYPES = ("float32", "float16", "int8", "uint8", "int32", "int64", "bool")

Reply = Tuple[Dict[str, Any], bytes]


class RequestError(ValueError):
    """A request that is refused; `kind` tells the host why."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class _Emitted(NamedTuple):
    model: Any
    emit_ms: float


class Agent:
    """Serves one host on one link. `home` is the private folder for blobs and deliveries."""

    def __init__(self, link: HostLink, home: Path, quota_bytes: int = DEFAULT_QUOTA_BYTES) -> None:
        self._link = link
        self._store = BlobStore(home, quota_bytes)
        self._templates: OrderedDict[str, Any] = OrderedDict()
        self._greeted = False
        self._runtime, self._runtime_error = _import_runtime()
        self._operations: dict[str, Callable[[Frame], Reply]] = {
            "hello": self._hello,
            "ping": lambda frame: ({}, frame.payload),
            "facts": lambda frame: (self._facts(), b""),
            "health": lambda frame: (health(), b""),
            "blob_stat": self._blob_stat,
            "blob_put": self._blob_put,
            "measure": self._measure,
            "run": self._run,
            "deliver": self._deliver,
        }

    def serve(self) -> int:
        """Answer requests until the host is gone. Returns: the exit code; 1 when the stream broke, else 0."""
        gc.collect()
        gc.freeze()  # what lives now stays out of collections, whose bookkeeping would copy pages in every child
        try:
            while True:
                frame = self._link.receive()
                if frame.header.get("op") == "bye":
                    self._link.send({"re": request_id(frame), "ok": {}})
                    return 0
                self._answer(frame)
        except LinkClosed as end:
            print(f"edgewright agent: ends, {end}", file=sys.stderr)
            return 0
        except FrameError as error:
            print(f"edgewright agent: ends, {error}", file=sys.stderr)
            return self._close_after(error)

    def _close_after(self, error: FrameError) -> int:
        """Say what was wrong with the stream, if the host still listens; nothing after that byte can be trusted."""
        try:
            self._link.send({"re": None, "error": {"kind": "frame", "message": str(error)}})
        except LinkClosed:
            pass
        return 1

    def _answer(self, frame: Frame) -> None:
        identity = request_id(frame)
        try:
            header, payload = self._dispatch(frame)
        except (LinkClosed, FrameError):
            raise
        except RequestError as error:
            self._refuse(identity, error.kind, str(error))
        except BlobError as error:
            self._refuse(identity, "blob", str(error))
        except MemoryError:
            self._refuse(identity, "out_of_memory", "the device has no memory left for this request")
        except OSError as error:
            self._refuse(identity, "system", f"the device's system refused: {error}")
        else:
            self._link.send({"re": identity, "ok": header}, payload)

    def _refuse(self, identity: Any, kind: str, message: str) -> None:
        self._link.send({"re": identity, "error": {"kind": kind, "message": message}})

    def _dispatch(self, frame: Frame) -> Reply:
        name = _text(frame, "op")
        operation = self._operations.get(name)
        if operation is None:
            raise RequestError(
                "bad_request",
                f"unknown operation {name!r:.100}; this agent knows {', '.join(sorted(self._operations))}",
            )
        if not self._greeted and name != "hello":
            raise RequestError("bad_request", f"the first request must be hello, got {name}")
        return operation(frame)

    def _hello(self, frame: Frame) -> Reply:
        heartbeat_s = _number(frame, "heartbeat_s", 0.01, 60.0)
        silence_s = _number(frame, "silence_s", 0.05, 3600.0)
        self._greeted = _integer(frame, "protocol", 0, 1 << 30) == PROTOCOL_VERSION
        self._link.heartbeat_s, self._link.silence_s = heartbeat_s, silence_s
        return {
            "protocol": PROTOCOL_VERSION,
            "agent": AGENT_VERSION,
            "runtime": None if self._runtime is None else self._runtime.name,
            "runtime_version": None if self._runtime is None else self._runtime.version,
            "runtime_error": self._runtime_error,
        }, b""

    def _facts(self) -> dict[str, Any]:
        runtime = self._runtime
        return facts(None if runtime is None else runtime.name, None if runtime is None else runtime.version)

    def _blob_stat(self, frame: Frame) -> Reply:
        complete, size = self._store.have(_text(frame, "sha"))
        return {"complete": complete, "bytes": size}, b""

    def _blob_put(self, frame: Frame) -> Reply:
        size, offset = _integer(frame, "size", 0, 1 << 40), _integer(frame, "offset", 0, 1 << 40)
        complete, length = self._store.put(check_sha(_text(frame, "sha")), size, offset, frame.payload)
        return {"complete": complete, "bytes": length}, b""

    def _deliver(self, frame: Frame) -> Reply:
        sha = check_sha(_text(frame, "sha"))
        return {"path": str(self._store.deliver(sha, _text(frame, "name"))), "sha256": sha}, b""

    def _measure(self, frame: Frame) -> Reply:
        start = time.perf_counter()
        runtime, protocol = self._need_runtime(), _timing(frame)
        emitted = self._model(frame, frame.payload)
        result = measure(emitted.model, runtime, protocol, self._link.wait)
        result["emit_ms"] = emitted.emit_ms
        result["agent_ms"] = (time.perf_counter() - start) * 1e3
        return result, b""

    def _run(self, frame: Frame) -> Reply:
        runtime, protocol = self._need_runtime(), _timing(frame)
        gates_bytes = _integer(frame, "gates_bytes", 0, len(frame.payload))
        inputs = _array(frame, frame.payload[gates_bytes:])
        emitted = self._model(frame, frame.payload[:gates_bytes])
        outcome = run_batch(emitted.model, runtime, inputs, protocol, self._link.wait)
        if outcome.error is not None:
            raise RequestError(outcome.error["kind"], outcome.error["message"])
        return outcome.header, outcome.payload

    def _need_runtime(self) -> TfliteRuntime:
        if self._runtime is None:
            raise RequestError("no_runtime", str(self._runtime_error))
        return self._runtime

    def _model(self, frame: Frame, gates: bytes) -> _Emitted:
        """The model a request names, with the milliseconds its emission took (0 for a pushed model)."""
        if ("model_sha" in frame.header) == ("template_sha" in frame.header):
            raise RequestError("bad_request", "a model is named by either model_sha or template_sha")
        if "model_sha" in frame.header:
            return _Emitted(self._store.read(_text(frame, "model_sha")), 0.0)
        return self._emit(check_sha(_text(frame, "template_sha")), gates)

    def _emit(self, sha: str, gates: bytes) -> _Emitted:
        from .template import TemplateError

        try:
            template = self._template(sha)
            start = time.perf_counter()
            model = template.emit(gates)
            return _Emitted(model, (time.perf_counter() - start) * 1e3)
        except TemplateError as error:
            raise RequestError("template", str(error)) from error

    def _template(self, sha: str) -> Any:
        """The loaded template, from a small cache: campaigns use one, a comparison two."""
        from .template import Template

        if sha not in self._templates:
            self._templates[sha] = Template.load(self._store.path(sha))
            gc.freeze()
        self._templates.move_to_end(sha)
        while len(self._templates) > _TEMPLATES_KEPT:
            self._templates.popitem(last=False)
        return self._templates[sha]


def _import_runtime() -> tuple[TfliteRuntime | None, str | None]:
    try:
        return find_runtime(), None
    except RuntimeMissing as error:
        return None, str(error)


def _text(frame: Frame, name: str) -> str:
    value = frame.header.get(name)
    if not isinstance(value, str):
        raise RequestError("bad_request", f"{name} must be a string, got {value!r:.100}")
    return value


def _integer(frame: Frame, name: str, low: int, high: int) -> int:
    value = frame.header.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise RequestError("bad_request", f"{name} must be an integer in [{low}, {high}], got {value!r:.100}")
    return value


def _number(frame: Frame, name: str, low: float, high: float) -> float:
    value = frame.header.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise RequestError("bad_request", f"{name} must be a number in [{low:g}, {high:g}], got {value!r:.100}")
    return float(value)


def _timing(frame: Frame) -> TimingProtocol:
    try:
        return TimingProtocol.from_json(frame.header.get("timing"))
    except ValueError as error:
        raise RequestError("bad_request", str(error)) from error


def _array(frame: Frame, data: bytes) -> np.ndarray:
    shape, dtype = frame.header.get("shape"), _text(frame, "dtype")
    if dtype not in _DTYPES:
        raise RequestError("bad_request", f"dtype must be one of {', '.join(_DTYPES)}, got {dtype!r:.100}")
    if (
        not isinstance(shape, list)
        or not all(isinstance(size, int) and 0 < size <= 1 << 30 for size in shape)
        or len(shape) > 8
    ):
        raise RequestError("bad_request", f"shape must be a list of at most 8 positive integers, got {shape!r:.100}")
    elements = 1
    for size in shape:
        elements *= size
    if elements * np.dtype(dtype).itemsize != len(data):
        raise RequestError("bad_request", f"inputs of shape {shape} and dtype {dtype} do not fill {len(data)} bytes")
    return np.frombuffer(data, dtype).reshape(shape)
