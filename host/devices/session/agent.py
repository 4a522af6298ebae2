"""A conversation with the agent on one device."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from edgewright.device_agent import PROTOCOL_VERSION
from edgewright.device_agent.frames import Frame
from edgewright.device_agent.isolation import ERROR_KINDS
from edgewright.device_agent.timing import TimingProtocol

from ...errors import DeviceError, DeviceRefused, InputError, MeasurementError
from ...files import sha256_of
from .jobs import CampaignJob, CampaignReply, MeasureJob
from .link import AgentLink, SessionLimits

if TYPE_CHECKING:
    from types import TracebackType

    from ..transport import Stream

_CHUNK_BYTES = 4 << 20
_BATCH_BYTES = 16 << 20
_BATCH_INPUTS = 50  # a slow device is done with so many within the time limit of one child


def _batches_at_once(nbytes: int) -> int:
    """How many batches of that size one request holds."""
    return min(_BATCH_INPUTS, max(1, _BATCH_BYTES // max(1, nbytes)))


def _below(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """`(n, b, ...)` -> `(n * b, ...)`: batch below batch, as the agent takes them; `(n,)` stays."""
    return values if values.ndim < 2 else values.reshape(-1, *values.shape[2:])


def _arrays(described: Sequence[dict[str, Any]], data: bytes) -> Iterator[np.ndarray[Any, Any]]:
    """The arrays in `data`, one after the other."""
    start = 0
    for entry in described:
        dtype, shape = np.dtype(entry["dtype"]), tuple(entry["shape"])
        count = math.prod(shape)
        yield np.frombuffer(data, dtype, count, start).reshape(shape)
        start += count * dtype.itemsize


class Connection(Protocol):
    """What keeps the way to a device open while a session lasts."""

    def open(self) -> Stream:
        """Start the agent, over a new connection where the old one is gone. Raises `DeviceError`."""

    def close(self) -> None:
        """Never raises."""


class AgentSession:
    """Requests to one agent, from the handshake on; use it as a context manager.

    Every method raises `DeviceError` when the agent dies, falls silent, sends garbage or refuses. After the first three
    the session is over until `reopen`. Not thread-safe.
    """

    def __init__(
        self,
        stream: Stream,
        device_name: str,
        limits: SessionLimits | None = None,
        connection: Connection | None = None,
    ) -> None:
        self.device_name = device_name
        self._limits = limits or SessionLimits()
        self._connection = connection
        self._begin(stream)

    @classmethod
    def over(cls, connection: Connection, device_name: str, limits: SessionLimits | None = None) -> AgentSession:
        """A session that owns its connection, and so can be opened again."""
        try:
            return cls(connection.open(), device_name, limits, connection)
        except BaseException:
            connection.close()
            raise

    def reopen(self) -> None:
        """Start a new agent after the old one was lost. Raises `DeviceError`, and may be tried again."""
        if self._connection is None:
            raise DeviceError(f"the session with device {self.device_name!r} cannot be opened again; open a new one")
        self._link.abandon()
        self._begin(self._connection.open())

    def _begin(self, stream: Stream) -> None:
        self._link = AgentLink(stream, self.device_name, self._limits)
        try:
            self.agent: dict[str, Any] = self._greet()
        except BaseException:
            self._link.abandon()
            raise

    @property
    def is_over(self) -> bool:
        """Whether nothing can be asked any more before `reopen`: the agent was lost, or a request interrupted."""
        return self._link.is_over

    def __enter__(self) -> AgentSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Say bye, end the agent and the connection. Never raises."""
        self._link.close()
        if self._connection is not None:
            self._connection.close()

    def ping(self, payload: bytes = b"") -> bytes:
        """One round trip; returns the payload."""
        return self._ask({"op": "ping"}, payload)[1]

    def facts(self) -> dict[str, Any]:
        return self._ask({"op": "facts"})[0]

    def health(self) -> dict[str, Any]:
        return self._ask({"op": "health"})[0]

    def put_blob(self, data: bytes) -> str:
        """Make `data` available on the device; only what it does not have is sent. Returns: its sha256."""
        sha = sha256_of(data)
        state = self._ask({"op": "blob_stat", "sha": sha})[0]
        for _ in range(2 + 2 * (len(data) // _CHUNK_BYTES)):
            if state["complete"]:
                return sha
            state = self._put_chunk(sha, data, int(state["bytes"]))
        if state["complete"]:
            return sha
        raise DeviceError(
            f"device {self.device_name!r} does not take blob {sha[:12]} of {len(data)} bytes; "
            "free space on it and try again"
        )

    def _put_chunk(self, sha: str, data: bytes, offset: int) -> dict[str, Any]:
        header = {"op": "blob_put", "sha": sha, "size": len(data), "offset": offset}
        return self._ask(header, data[offset : offset + _CHUNK_BYTES])[0]

    def measure(self, job: MeasureJob, protocol: TimingProtocol) -> dict[str, Any]:
        """Measure one model in a child of its own.

        Returns: the record described at `device_agent.measure.measure`, with `emit_ms` and `agent_ms`. What the model
            does wrong is its `error`: {"kind", "message"}.
        Raises: `InputError` when the template refuses the gates.
        """
        header = {"op": "measure", "timing": protocol.to_json(), **job.header(), **job.call()}
        return self._ask(header, job.packed_gates or b"", self._reply_s(protocol))[0]

    def measure_each(
        self,
        key: str,
        template_sha: str,
        jobs: Sequence[CampaignJob],
        protocol: TimingProtocol,
        stored: Sequence[tuple[int, int]] = (),
    ) -> Iterator[CampaignReply]:
        """Measure many subnets of one template in turn; each is in the device's spool before it is sent.

        `key` (32 hexadecimal digits) names the campaign, `stored` the (position, attempt) that may leave the spool.
        Raises: `InputError` when the template refuses the gates. Stopping the iteration early ends the session.
        """
        gates_bytes = len(jobs[0].packed_gates)
        header = {
            "op": "measure_each", "key": key, "template_sha": template_sha, "timing": protocol.to_json(),
            "gates_bytes": gates_bytes, "jobs": [[job.position, job.attempt] for job in jobs],
            "stored": [list(job) for job in stored],
        }  # fmt: skip
        payload = b"".join(job.packed_gates for job in jobs)
        wanted = {(job.position, job.attempt) for job in jobs}
        for frame in self._link.stream(header, payload, self._reply_s(protocol), self._limits.silence_s):
            if "record" not in frame.header:
                self._checked(header, frame)
                return
            reply = self._campaign_reply(frame.header["record"])
            if (reply.position, reply.attempt) not in wanted:
                raise DeviceError(f"device {self.device_name!r} sent an unexpected record: {str(reply):.200}")
            yield reply

    def spooled(self, key: str) -> Iterator[CampaignReply]:
        """The finished records of campaign `key` that are still on the device, in the order of its plan."""
        for job in self._ask({"op": "spool_list", "key": key})[0]["jobs"]:
            record = self._ask({"op": "spool_read", "key": key, "job": job})[0]["record"]
            if record is not None:
                yield self._campaign_reply(record)

    def drop_spooled(self, key: str, attempts: Sequence[tuple[int, int]]) -> None:
        """Let the device forget records that are stored here."""
        self._ask({"op": "spool_drop", "key": key, "jobs": [list(attempt) for attempt in attempts]})

    def _campaign_reply(self, record: dict[str, Any]) -> CampaignReply:
        try:
            return CampaignReply(
                int(record["position"]), int(record["attempt"]), float(record["started_unix_s"]), record
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DeviceError(
                f"device {self.device_name!r} sent no record of a campaign ({error}); "
                f"put this version's agent there with: edgewright agent deploy {self.device_name}"
            ) from error

    def run(
        self, job: MeasureJob, inputs: np.ndarray[Any, Any], protocol: TimingProtocol | None = None
    ) -> np.ndarray[Any, Any]:
        """The outputs (N, ...) for `inputs` (N, C, H, W) of a model with one input and one output, from the device.

        Raises: `MeasurementError` when the model cannot be loaded or run, `InputError` when the template refuses the
            gates.
        """
        if inputs.ndim < 1 or len(inputs) == 0:
            raise InputError(f"running needs at least one input, got an array of shape {inputs.shape}")
        step = _batches_at_once(inputs[:1].nbytes)
        parts = [
            self._run_part(job, [inputs[start : start + step]], protocol or TimingProtocol())
            for start in range(0, len(inputs), step)
        ]
        if len(parts[0]) != 1:
            raise MeasurementError(
                f"the model has {len(parts[0])} outputs on device {self.device_name!r}; read them all with `run_each`"
            )
        return np.concatenate([output for (output,) in parts])  # (N, ...)

    def run_each(
        self, job: MeasureJob, inputs: Sequence[np.ndarray[Any, Any]], protocol: TimingProtocol | None = None
    ) -> tuple[np.ndarray[Any, Any], ...]:
        """All outputs, each `(n, *shape)`, of a model for `n` sets of inputs, one array `(n, *shape)` for each input.

        A single number comes back as shape (1,). Raises what `run` raises.
        """
        counts = {len(value) if value.ndim else 0 for value in inputs}
        if len(counts) != 1 or 0 in counts:
            raise InputError(
                "running needs the same number of values for every input, and at least one; got arrays of shapes "
                f"{[value.shape for value in inputs]}"
            )
        (n,) = counts
        step = _batches_at_once(sum(value[:1].nbytes for value in inputs))
        parts = [
            self._run_part(job, [_below(value[start : start + step]) for value in inputs], protocol or TimingProtocol())
            for start in range(0, n, step)
        ]
        joined = [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]  # each (n * b, ...)
        return tuple(output.reshape(n, len(output) // n, *output.shape[1:]) for output in joined)

    def _run_part(
        self, job: MeasureJob, inputs: Sequence[np.ndarray[Any, Any]], protocol: TimingProtocol
    ) -> list[np.ndarray[Any, Any]]:
        gates = job.packed_gates or b""
        header = {
            "op": "run", "timing": protocol.to_json(), "gates_bytes": len(gates), **job.header(),
            "inputs": [{"shape": list(value.shape), "dtype": value.dtype.name} for value in inputs],
        }  # fmt: skip
        payload = b"".join([gates, *(np.ascontiguousarray(value).tobytes() for value in inputs)])
        reply, data = self._ask(header, payload, self._reply_s(protocol))
        try:
            return list(_arrays(reply["outputs"], data))
        except (KeyError, TypeError, ValueError) as error:
            raise DeviceError(
                f"device {self.device_name!r} sent outputs that cannot be read ({error}); try again"
            ) from error

    def deliver(self, sha: str, name: str) -> dict[str, str]:
        """Leave blob `sha` on the device as `name`. Returns: its absolute `path` there, and its `sha256`."""
        reply = self._ask({"op": "deliver", "sha": sha, "name": name})[0]
        if reply["sha256"] != sha:
            raise DeviceError(
                f"{reply['path']} on device {self.device_name!r} has sha256 {reply['sha256']} instead of {sha}; check "
                "its disk, and push again"
            )
        return {"path": str(reply["path"]), "sha256": str(reply["sha256"])}

    def _reply_s(self, protocol: TimingProtocol) -> float:
        """A turn is waited for as long as the measurement may take."""
        return 2 * protocol.timeout_s + self._limits.reply_s

    def _greet(self) -> dict[str, Any]:
        header = {
            "op": "hello", "protocol": PROTOCOL_VERSION,
            "heartbeat_s": self._limits.heartbeat_s, "silence_s": self._limits.silence_s,
        }  # fmt: skip
        hello = self._ask(header, reply_s=self._limits.start_s, silence_s=self._limits.start_s)[0]
        if hello.get("protocol") != PROTOCOL_VERSION:
            raise DeviceError(
                f"the agent on device {self.device_name!r} speaks protocol {hello.get('protocol')!r}, "
                f"this host {PROTOCOL_VERSION}; "
                f"put this version's agent there with: edgewright agent deploy {self.device_name}"
            )
        self._link.start_heartbeats()
        return hello

    def _ask(
        self, header: dict[str, Any], payload: bytes = b"", reply_s: float | None = None, silence_s: float | None = None
    ) -> tuple[dict[str, Any], bytes]:
        frame = self._link.request(
            header, payload, reply_s or self._limits.reply_s, silence_s or self._limits.silence_s
        )
        return self._checked(header, frame)

    def _checked(self, header: dict[str, Any], frame: Frame) -> tuple[dict[str, Any], bytes]:
        error = frame.header.get("error")
        if error is None:
            return frame.header["ok"], frame.payload
        raise self._refusal(str(header["op"]), str(error.get("kind")), str(error.get("message")))

    def _refusal(self, operation: str, kind: str, message: str) -> Exception:
        if kind == "template":
            return InputError(f"device {self.device_name!r} cannot cut this subnet out of the template: {message}")
        if kind in ERROR_KINDS:
            return MeasurementError(f"the model does not run on device {self.device_name!r} ({kind}): {message}")
        # A blob that went missing is sent again with the next attempt; anything else stays as it is.
        refused = DeviceError if kind == "blob" else DeviceRefused
        return refused(f"device {self.device_name!r} refused {operation} ({kind}): {message}")
