"""Answers the requests of one host, one reply per request, until the host is gone.

A request is {"op", "id", ...}; its reply {"re": id, "ok": {...}} or {"re": id, "error": {"kind", "message"}}. The first
request must be `hello`. The host sends {"op": "heartbeat"} now and then, which has no reply; while busy, the agent
sends {"heartbeat": true}.

    hello      protocol, heartbeat_s, silence_s -> protocol, agent, and what `Runtimes.summary` returns
    ping       [payload] -> the payload
    facts      -> facts of `facts.facts`, and what `Runtimes.summary` returns
    health     -> readings of `facts.health`
    blob_stat  sha -> complete, bytes
    blob_put   sha, size, offset, payload = chunk -> complete, bytes (where to continue)
    measure    a model, timing, [signature], [shapes], [per_op]
                  -> the result of `measure.measure`, and emit_ms, agent_ms
    run        a model, timing, inputs, payload = inputs one after the other -> outputs, payload likewise
    deliver    sha, name -> path, sha256
    measure_each  key, template_sha, timing, jobs, gates_bytes, stored, payload = packed gates one after the other
                  -> a frame for each job {"re", "record": a measurement, position, attempt, started_unix_s}; then n
    spool_list    key -> jobs
    spool_read    key, job -> record, or null
    spool_drop    key, jobs -> nothing
    bye        -> nothing; the agent ends

A job is [position, attempt]. A record of `measure_each` enters the spool before it is sent, and leaves it when the
host names its job in `stored` or `spool_drop`. When the connection is lost, the agent finishes the current measurement
and keeps its record.

A model is named by `model_sha` (a pushed .tflite, .pt2 or TorchScript file), or by `template_sha` (a pushed template)
with the packed gates: in `measure` they are the payload, in `run` its first `gates_bytes`. `inputs` and `outputs`
are lists of {"shape", "dtype"}, in the model's order; each holds the same number of batches along its first axis.
"""

from __future__ import annotations

import gc
import struct
import sys
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple, Sequence, Tuple

from . import AGENT_VERSION, PROTOCOL_VERSION
from .blobs import DEFAULT_QUOTA_BYTES, BlobError, BlobStore, check_sha, sha256_of_file
from .facts import facts, health
from .fields import (
    RequestError,
    arrays_field,
    call_field,
    flag_field,
    integer_field,
    jobs_field,
    number_field,
    text_field,
    timing_field,
)
from .frames import Frame, FrameError, LinkClosed
from .isolation import Wait, plain_wait
from .link import HostLink, request_id
from .lock import LockTaken, MeasuringLock
from .measure import measure, run_batch
from .runtimes.base import AS_IT_IS, Call, Runtime, RuntimeMissing
from .runtimes.choice import Runtimes
from .spool import JobId, Spool, SpoolError, check_job_id
from .timing import TimingProtocol

_TEMPLATES_KEPT = 2
_MAX_SPOOLED = 1000

Reply = Tuple[Dict[str, Any], bytes]


class _Emitted(NamedTuple):
    model: Any
    emit_ms: float


class Agent:
    """Serves one host on one link. `home` is the private folder for blobs and deliveries.

    Agents with the same `lock` (by default, those with the same home) measure one at a time.
    """

    def __init__(
        self,
        link: HostLink,
        home: Path,
        quota_bytes: int = DEFAULT_QUOTA_BYTES,
        tflite_runtime: str | None = None,
        lock: Path | None = None,
    ) -> None:
        self._link = link
        self._store = BlobStore(home, quota_bytes)
        self._spool = Spool(home)
        self._measuring = MeasuringLock(lock or home / "measuring.lock")
        self._templates: OrderedDict[str, Any] = OrderedDict()
        self._greeted = False
        self._runtimes = Runtimes(tflite_runtime)
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
            "measure_each": self._measure_each,
            "spool_list": self._spool_list,
            "spool_read": self._spool_read,
            "spool_drop": self._spool_drop,
        }

    def serve(self) -> int:
        """Answer requests until the host is gone. Returns: the exit code; 1 when the stream broke, else 0."""
        gc.collect()
        gc.freeze()  # exempt current objects from collection, which would copy their pages in every child
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
        """Tell the host what was wrong, if it still listens; nothing after that byte can be trusted."""
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
        except SpoolError as error:
            self._refuse(identity, "bad_request", str(error))
        except LockTaken as error:
            self._refuse(identity, "busy", str(error))
        except MemoryError:
            self._refuse(identity, "out_of_memory", "the device has no memory left for this request")
        except OSError as error:
            self._refuse(identity, "system", f"the device's system refused: {error}")
        else:
            self._link.send({"re": identity, "ok": header}, payload)

    def _refuse(self, identity: Any, kind: str, message: str) -> None:
        self._link.send({"re": identity, "error": {"kind": kind, "message": message}})

    def _dispatch(self, frame: Frame) -> Reply:
        name = text_field(frame, "op")
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
        heartbeat_s = number_field(frame, "heartbeat_s", 0.01, 60.0)
        silence_s = number_field(frame, "silence_s", 0.05, 3600.0)
        self._greeted = integer_field(frame, "protocol", 0, 1 << 30) == PROTOCOL_VERSION
        self._link.heartbeat_s, self._link.silence_s = heartbeat_s, silence_s
        return {"protocol": PROTOCOL_VERSION, "agent": AGENT_VERSION, **self._runtimes.summary()}, b""

    def _facts(self) -> dict[str, Any]:
        return {**facts(), **self._runtimes.summary()}

    def _blob_stat(self, frame: Frame) -> Reply:
        complete, size = self._store.have(text_field(frame, "sha"))
        return {"complete": complete, "bytes": size}, b""

    def _blob_put(self, frame: Frame) -> Reply:
        size, offset = integer_field(frame, "size", 0, 1 << 40), integer_field(frame, "offset", 0, 1 << 40)
        complete, length = self._store.put(check_sha(text_field(frame, "sha")), size, offset, frame.payload)
        return {"complete": complete, "bytes": length}, b""

    def _deliver(self, frame: Frame) -> Reply:
        sha = check_sha(text_field(frame, "sha"))
        path = self._store.deliver(sha, text_field(frame, "name"))
        return {"path": str(path), "sha256": sha256_of_file(path)}, b""

    def _measure(self, frame: Frame) -> Reply:
        call, per_op = call_field(frame), flag_field(frame, "per_op")
        return self._measured(frame, frame.payload, timing_field(frame), self._link.wait, call, per_op), b""

    def _measured(
        self,
        frame: Frame,
        gates: bytes,
        protocol: TimingProtocol,
        wait: Wait,
        call: Call = AS_IT_IS,
        per_op: bool = False,
    ) -> dict[str, Any]:
        start = time.perf_counter()
        emitted = self._model(frame, gates)
        runtime = self._need_runtime(emitted.model, wait)
        with self._measuring.held(wait, protocol.timeout_s):
            result = measure(emitted.model, runtime, protocol, wait, call, per_op)
        result["emit_ms"] = emitted.emit_ms
        result["agent_ms"] = (time.perf_counter() - start) * 1e3
        return result

    def _measure_each(self, frame: Frame) -> Reply:
        protocol, key = timing_field(frame), text_field(frame, "key")
        jobs, size = jobs_field(frame, "jobs"), integer_field(frame, "gates_bytes", 0, len(frame.payload))
        if size * len(jobs) != len(frame.payload):
            raise RequestError(
                "bad_request", f"{len(jobs)} jobs of {size} bytes do not fill {len(frame.payload)} bytes"
            )
        self._spool.drop(key, jobs_field(frame, "stored"))
        if len(self._spool.jobs(key)) > _MAX_SPOOLED:
            raise RequestError("bad_request", f"more than {_MAX_SPOOLED} records wait here; fetch them first")
        for index, job in enumerate(jobs):
            gates = frame.payload[index * size : (index + 1) * size]
            self._finish_one(frame, key, job, gates, protocol)
        return {"n": len(jobs)}, b""

    def _finish_one(self, frame: Frame, key: str, job: JobId, gates: bytes, protocol: TimingProtocol) -> None:
        """Measure, keep the record, send it. If the host is lost meanwhile, the agent ends once the record is kept."""
        wait = _WaitToTheEnd(self._link)
        started_unix_s = time.time()
        result = self._measured(frame, gates, protocol, wait)
        record = {**result, "position": job[0], "attempt": job[1], "started_unix_s": started_unix_s}
        try:
            self._spool.keep(key, job, record)
        except OSError:  # the disk may be full; the record can still be sent
            if wait.lost is not None:
                raise
        if wait.lost is not None:
            raise wait.lost
        self._link.send({"re": request_id(frame), "record": record})

    def _spool_list(self, frame: Frame) -> Reply:
        return {"jobs": [list(job) for job in self._spool.jobs(text_field(frame, "key"))]}, b""

    def _spool_read(self, frame: Frame) -> Reply:
        job = check_job_id(frame.header.get("job"))
        return {"record": self._spool.read(text_field(frame, "key"), job)}, b""

    def _spool_drop(self, frame: Frame) -> Reply:
        self._spool.drop(text_field(frame, "key"), jobs_field(frame, "jobs"))
        return {}, b""

    def _run(self, frame: Frame) -> Reply:
        protocol = timing_field(frame)
        gates_bytes = integer_field(frame, "gates_bytes", 0, len(frame.payload))
        inputs = arrays_field(frame, frame.payload[gates_bytes:])
        emitted = self._model(frame, frame.payload[:gates_bytes])
        runtime = self._need_runtime(emitted.model, self._link.wait)
        with self._measuring.held(self._link.wait, protocol.timeout_s):  # it would disturb another agent's measurement
            outcome = run_batch(emitted.model, runtime, inputs, protocol, self._link.wait)
        if outcome.error is not None:
            raise RequestError(outcome.error["kind"], outcome.error["message"])
        return outcome.header, outcome.payload

    def _need_runtime(self, model: Any, wait: Wait) -> Runtime:
        try:
            return self._runtimes.for_model(model, wait)
        except RuntimeMissing as error:
            raise RequestError("no_runtime", str(error)) from error

    def _model(self, frame: Frame, gates: bytes) -> _Emitted:
        """The model that a request names, and the milliseconds it took to emit (0 for a pushed model)."""
        if ("model_sha" in frame.header) == ("template_sha" in frame.header):
            raise RequestError("bad_request", "a model is named by either model_sha or template_sha")
        if "model_sha" in frame.header:
            return _Emitted(self._store.read(text_field(frame, "model_sha")), 0.0)
        return self._emit(check_sha(text_field(frame, "template_sha")), gates)

    def _emit(self, sha: str, gates: bytes) -> _Emitted:
        from .template import TemplateError

        try:
            template = self._template(sha)
            start = time.perf_counter()
            model = template.emit(gates)
            return _Emitted(model, (time.perf_counter() - start) * 1e3)
        except TemplateError as error:
            raise RequestError("template", str(error)) from error
        except (ValueError, IndexError, TypeError, struct.error) as error:  # intact, but invalid
            raise RequestError("template", f"template {sha[:12]} is not a valid template: {error}") from error

    def _template(self, sha: str) -> Any:
        """The loaded template, from a small cache: a campaign uses one template, a comparison two."""
        from .template import Template

        if sha not in self._templates:
            self._templates[sha] = Template.load(self._store.path(sha))
            gc.freeze()
        self._templates.move_to_end(sha)
        while len(self._templates) > _TEMPLATES_KEPT:
            self._templates.popitem(last=False)
        return self._templates[sha]


class _WaitToTheEnd:
    """Waits with the link, and without it once the host is lost, so that the current measurement is finished."""

    def __init__(self, link: HostLink) -> None:
        self._link = link
        self.lost: LinkClosed | FrameError | None = None

    def __call__(self, descriptors: Sequence[int], timeout_s: float) -> list[int]:
        if self.lost is None:
            try:
                return self._link.wait(descriptors, timeout_s)
            except (LinkClosed, FrameError) as error:
                self.lost = error
        return plain_wait(descriptors, timeout_s)
