"""Measuring with Google's benchmark_model: the way to a phone's GPU and to NNAPI. The user supplies the binary.

The tool is started once for each model. Whatever it measured comes back in the agent's own reply, with these
differences: `samples_ms` holds one figure for all runs, the median where the tool prints one (`latency_method` says),
`settled` is None, memory is the tool's own footprint figure, and `memory_limit_mib` is not enforced.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright.device_agent.runtimes.base import Call, CallRefused
from edgewright.device_agent.template import Template, TemplateError
from edgewright.device_agent.timing import TimingProtocol

from ...errors import DeviceError, InputError
from ...files import sha256_of
from ..probe.device import probe_device, probe_health
from ..probe.parsing import parse_health
from ..probe.report import DeviceReport
from ..probe.script import HEALTH_FUNCTION
from ..session.jobs import CampaignJob, CampaignReply, MeasureJob
from .entries import chosen_entry
from .flags import DELEGATES, PROFILED, arguments, call_flags, check_understood
from .operators import parse_operators
from .output import MEMORY_METHOD, BenchmarkOutput, Stats, check_delegate, parse_output
from .program_file import check_program, read_program

if TYPE_CHECKING:
    from types import TracebackType

    from ..transport import Transport

_COMMAND_S = 30.0
_MAX_OUTPUT_BYTES = 8 << 20

# "$1" is the agent's folder, "$2" this session's in it. Sessions whose host was killed leave theirs behind.
_PREPARE = r"""
umask 077
[ ! -L "$1" ] && mkdir -p "$1" && chmod 700 "$1" && mkdir "$2" || exit 1
find "$1" -maxdepth 1 -name 'benchmark-*' -mtime +1 -exec rm -rf {} + 2>/dev/null
:
"""
# "$1" is a file to remove afterwards or empty; the rest is the command.
_RUN = (
    HEALTH_FUNCTION
    + r"""
used=$1
shift
health
echo edgewright_part=run
"$@" 2>&1 </dev/null
code=$?
echo
echo "edgewright_part=exit $code"
[ -z "$used" ] || rm -f "$used"
health
"""
)


class BenchmarkModelSession:
    """Measures on one device by means of benchmark_model; a context manager, like `AgentSession`.

    Models and templates are kept here by their sha256; a subnet is cut out of its template here and pushed as a file,
    which is removed after its measurement. `close` removes all but the binary.

    Every method raises `DeviceError` when the device is gone, after which `reopen` may be tried.
    """

    def __init__(self, connect: Callable[[], Transport], device_name: str, binary: Path, delegate: str) -> None:
        """Raises: `InputError` for an unknown delegate or a binary that cannot run there; `DeviceError`."""
        if delegate not in DELEGATES:
            raise InputError(f"a delegate is one of {', '.join(DELEGATES)}; got {delegate!r}")
        self.device_name, self.delegate = device_name, delegate
        self._connect, self._binary = connect, binary
        self._content = read_program(binary)
        self._binary_sha = sha256_of(self._content)
        self._blobs: dict[str, bytes] = {}
        self._template: tuple[str, Template] | None = None
        self._transport: Transport | None = None
        self._folder = ""
        self._begin()

    @property
    def is_over(self) -> bool:
        """Whether nothing can be asked any more before `reopen`."""
        return self._transport is None

    def __enter__(self) -> BenchmarkModelSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove what was pushed for this session, and disconnect. Never raises."""
        transport, self._transport = self._transport, None
        if transport is None:
            return
        try:
            transport.run(["rm", "-rf", self._folder], _COMMAND_S)
        except DeviceError:
            pass  # the device is gone; a later session on it removes the folder
        finally:
            transport.close()

    def reopen(self) -> None:
        """Reach the device again after it was lost. Raises `DeviceError`, and may be tried again."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        self._begin()

    def facts(self) -> dict[str, Any]:
        """The facts that the agent would give, as far as the probe knows them, and the measuring program."""
        report = self._report
        return {
            "device_id": report.device_id,
            "device_id_source": report.device_id_source,
            "model": report.model,
            "soc": report.soc,
            "machine": report.machine,
            "cpu_model": report.cpu_model,
            "cores": report.cores,
            "max_freq_khz": _each_cpu(report, "max_khz"),
            "min_freq_khz": _each_cpu(report, "min_khz"),
            "governor": report.clusters[0].governor if report.clusters else None,
            "memory_total_mib": report.memory_total_mib,
            "os": report.os,
            "kernel": report.kernel,
            "glibc": report.libc,
            "python": None,
            "numpy": None,
            "runtime": "benchmark_model",
            "runtime_version": f"sha256 {self._binary_sha[:16]}",
            "delegate": self.delegate,
        }

    def health(self) -> dict[str, Any]:
        return probe_health(self._open)

    def put_blob(self, data: bytes) -> str:
        """Keep a model or a template; returns its sha256. A model goes to the device with its first measurement."""
        sha = sha256_of(data)
        self._blobs[sha] = bytes(data)
        return sha

    def measure(self, job: MeasureJob, protocol: TimingProtocol) -> dict[str, Any]:
        """Measure one model. What the model or the delegate does wrong is the reply's `error`.

        Raises: `InputError` when the template refuses the gates, and when the binary does not start on the device;
            `DeviceError` when the device is gone.
        """
        start = time.perf_counter()
        model = self._model(job)
        emit_ms = 1e3 * (time.perf_counter() - start)
        path, is_pushed = f"{self._folder}/{sha256_of(model)}.tflite", job.model_sha is not None
        if not (is_pushed and job.model_sha in self._pushed):
            self._push(model, path)
        if is_pushed:
            self._pushed.add(job.model_sha)
        reply = self._called(model, path, "" if is_pushed else path, job, protocol)
        return {"size_bytes": len(model), **reply, "emit_ms": 0.0 if is_pushed else emit_ms}

    def _called(self, model: bytes, path: str, used: str, job: MeasureJob, protocol: TimingProtocol) -> dict[str, Any]:
        """Run the model as the job requests, and report what was run; with `per_op`, run it again for a profile."""
        call = Call(job.signature, job.shapes)
        try:
            entry = chosen_entry(model, call)
        except CallRefused as error:
            return {"error": {"kind": "bad_call", "message": str(error)}}
        flags = call_flags(call, entry)
        reply, _ = self._run(path, used, protocol, flags)
        if "error" in reply:
            return reply
        operators = self._operators(path, protocol, flags) if job.per_op else {}
        return {**reply, **entry.told(call), **operators}

    def _operators(self, path: str, protocol: TimingProtocol, flags: tuple[str, ...]) -> dict[str, Any]:
        _, said = self._run(path, "", protocol, (*flags, *PROFILED))
        operators = parse_operators(said)
        if operators is not None:
            return {"per_op": operators}
        return {"per_op": None, "per_op_missing": f"{self._binary} printed no profile of operators"}

    def measure_each(
        self,
        key: str,
        template_sha: str,
        jobs: Sequence[CampaignJob],
        protocol: TimingProtocol,
        stored: Sequence[tuple[int, int]] = (),
    ) -> Iterator[CampaignReply]:
        """As `AgentSession.measure_each`; nothing is spooled, since every reply is made here."""
        for job in jobs:
            begun = time.time()
            named = MeasureJob(template_sha=template_sha, packed_gates=job.packed_gates)
            yield CampaignReply(job.position, job.attempt, begun, self.measure(named, protocol))

    def spooled(self, key: str) -> Iterator[CampaignReply]:
        """Nothing: see `measure_each`."""
        return iter(())

    def drop_spooled(self, key: str, attempts: Sequence[tuple[int, int]]) -> None:
        """Nothing: see `measure_each`."""

    @property
    def _open(self) -> Transport:
        if self._transport is None:
            raise DeviceError(f"the session with device {self.device_name!r} is closed; open a new one")
        return self._transport

    def _begin(self) -> None:
        self._transport = self._connect()
        try:
            self._prepare(self._transport)
        except BaseException:
            self.close()
            raise

    def _prepare(self, transport: Transport) -> None:
        """Look at the device, make this session's folder, and put the binary there unless it is there, intact."""
        self._report = probe_device(transport)
        check_program(self._binary, self._content, self._report, self.device_name)
        self._pushed: set[str | None] = set()
        self._folder = f"{transport.agent_dir}/benchmark-{secrets.token_hex(8)}"
        made = transport.run(["sh", "-c", _PREPARE, "sh", transport.agent_dir, self._folder], _COMMAND_S)
        if made.returncode != 0:
            raise DeviceError(
                f"device {self.device_name!r} does not allow edgewright to make {self._folder}: "
                f"{made.stderr.decode(errors='replace').strip()[-300:]}; free space there or correct its permissions"
            )
        self._program = f"{transport.agent_dir}/benchmark_model-{self._binary_sha[:16]}"
        if not self._is_there(transport):
            transport.push(self._binary, self._program, 0o700)
            if not self._is_there(transport):
                raise DeviceError(
                    f"{self._program} on device {self.device_name!r} is not what was sent; check the device's disk and "
                    "free space, and that it has sha256sum"
                )

    def _is_there(self, transport: Transport) -> bool:
        """The binary, intact: its hash is taken on the device."""
        said = transport.run(["sha256sum", self._program], _COMMAND_S)
        return said.returncode == 0 and said.stdout.split()[:1] == [self._binary_sha.encode()]

    def _model(self, job: MeasureJob) -> bytes:
        if job.model_sha is not None:
            return self._blob(job.model_sha)
        sha = str(job.template_sha)
        content = self._blob(sha)
        try:
            if self._template is None or self._template[0] != sha:
                self._template = sha, Template.from_bytes(content)
            return bytes(self._template[1].emit(job.packed_gates or b""))
        except TemplateError as error:
            raise InputError(f"cannot cut this subnet out of the template {sha[:12]}: {error}") from error

    def _blob(self, sha: str) -> bytes:
        if sha not in self._blobs:
            raise InputError(f"nothing with the sha256 {sha[:12]} was given to this session; put_blob it first")
        return self._blobs[sha]

    def _push(self, model: bytes, path: str) -> None:
        with tempfile.NamedTemporaryFile(prefix="edgewright-", suffix=".tflite") as file:
            file.write(model)
            file.flush()
            self._open.push(Path(file.name), path)

    def _run(
        self, path: str, used: str, protocol: TimingProtocol, flags: tuple[str, ...] = ()
    ) -> tuple[dict[str, Any], str]:
        """The reply, and what the tool said."""
        command = [self._program, *arguments(path, self.delegate, protocol, flags)]
        if protocol.affinity is not None:
            command = ["taskset", f"{sum(1 << cpu for cpu in protocol.affinity):x}", *command]
        text = self._output(["sh", "-c", _RUN, "sh", used, *command], protocol.timeout_s)
        if text is None:
            message = f"benchmark_model did not finish within {protocol.timeout_s:g} s and was killed"
            return {"error": {"kind": "timeout", "message": message}, "health_after": self.health()}, ""
        before, _, rest = text.partition("edgewright_part=run\n")
        said, _, after = rest.rpartition("\nedgewright_part=exit ")
        code, _, after = after.partition("\n")
        if not code.isdigit():
            raise DeviceError(f"the link to device {self.device_name!r} ended during a measurement; check the device")
        check_understood(said, flags)
        output = parse_output(said)
        shared = {"health_before": parse_health(before), "health_after": parse_health(after)}
        error = self._error(int(code), said, output, protocol)
        if error is not None or output.timed is None:
            if flags and error is not None and int(code) != 0 and error["kind"] in ("load_failed", "run_failed"):
                error = {"kind": "bad_call", "message": f"the model cannot be called so: {error['message']}"}
            return {"error": error, **shared}, said
        shared["health_after"]["benchmark_model"] = output.summary()
        return {**_figures(output, output.timed), **shared}, said

    def _output(self, argv: Sequence[str], timeout_s: float) -> str | None:
        """All that a command prints; None when it took too long and was killed."""
        stream, deadline, output = self._open.open_stream(argv), time.monotonic() + timeout_s, bytearray()
        try:
            while len(output) < _MAX_OUTPUT_BYTES:
                part = stream.read(1 << 16, max(0.0, deadline - time.monotonic()))
                if not part:
                    return output.decode(errors="replace")
                output += part
            raise InputError(
                f"{self._binary} prints without end on device {self.device_name!r}; is it benchmark_model?"
            )
        except TimeoutError:
            return None
        except OSError as error:
            raise DeviceError(f"the link to device {self.device_name!r} broke during a measurement: {error}") from error
        finally:
            stream.kill()

    def _error(self, code: int, said: str, output: BenchmarkOutput, protocol: TimingProtocol) -> dict[str, str] | None:
        if code > 128:
            hint = " (a system that is short of memory does that)" if code == 137 else ""
            message = f"benchmark_model was killed by {_signal_name(code - 128)}{hint}: {output.last_words()}"
            return {"kind": "crash", "message": message}
        if protocol.affinity is not None and code != 0 and not output.started and "taskset" in said:
            message = f"cannot pin to CPUs {list(protocol.affinity)}: {_last_words(said)}"
            return {"kind": "bad_affinity", "message": message}
        if not output.started:
            raise InputError(
                f"{self._binary} does not start as benchmark_model on device {self.device_name!r} "
                f"({self._report.machine}, {self._report.os}; exit code {code}): {_last_words(said)}; "
                "supply the one built for this device"
            )
        if code != 0:
            message = f"benchmark_model ended with exit code {code}: {output.last_words()}"
            return {"kind": output.failure_kind(), "message": message}
        if output.timed is None:
            return {"kind": "run_failed", "message": f"benchmark_model printed no timings: {_last_words(said)}"}
        if min(output.timed.samples_ms()) <= 0:
            return {
                "kind": "run_failed",
                "message": "a run is too short for benchmark_model, which counts microseconds",
            }
        wrong = check_delegate(self.delegate, said, output)
        return None if wrong is None else {"kind": "run_failed", "message": wrong}


def _figures(output: BenchmarkOutput, timed: Stats) -> dict[str, Any]:
    """The agent's reply, with None for what the tool does not tell."""
    return {
        "samples_ms": timed.samples_ms(),
        "latency_method": timed.method(),
        "median_ms": timed.median_ms,
        "mean_ms": timed.mean_ms,
        "mad_ms": 0.0 if timed.all_same else None,
        "p90_ms": timed.max_ms if timed.all_same else None,
        "n_warmup": None if output.warmup is None else output.warmup.count,
        "settled": None,
        "load_ms": output.init_ms,
        "memory_mib": output.memory_mib,
        "memory_method": MEMORY_METHOD,
        "child_ms": output.child_ms,
        "fork_ms": None,
    }


def _each_cpu(report: DeviceReport, name: str) -> list[int | None] | None:
    """One value a CPU, as the agent's facts have it."""
    values = {cpu: getattr(cluster, name) for cluster in report.clusters for cpu in cluster.cpus}
    if all(value is None for value in values.values()):
        return None
    return [values.get(cpu) for cpu in range(max(values) + 1)]


def _signal_name(number: int) -> str:
    names = {4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV", 31: "SIGSYS"}
    return names.get(number, f"signal {number}")


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return " ".join(lines[-2:])[-600:] or "it said nothing"
