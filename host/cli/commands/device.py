"""`edgewright device ...`, `measure` and `push`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ...workspace import Workspace
from ..output import Output

if TYPE_CHECKING:
    from ...devices.session.agent_session import AgentSession
    from ...profiling.records import Measurement
    from ..backend import Backend


def add(name: str, uri: str, workspace: Path | None, as_json: bool) -> None:
    from ...devices.registry import Registry

    device = Registry(Workspace.find(workspace).root).add(name, _with_serial(uri))
    output = Output(as_json)
    output.say(f"added {device.name}: {device.uri}; `edgewright device check {device.name}` says what is there")
    output.done({"name": device.name, "uri": device.uri})


def _with_serial(uri: str) -> str:
    """`adb://` alone means the only phone there is: its serial is written down, so that it stays this one."""
    if uri != "adb://":
        return uri
    from ...devices.adb.phones import choose_serial

    return f"adb://{choose_serial()}"


def list_devices(workspace: Path | None, as_json: bool) -> None:
    from ...devices.registry import Registry

    devices = Registry(Workspace.find(workspace).root).list()
    output = Output(as_json)
    output.grid(["device", "uri"], [[device.name, device.uri] for device in devices])
    output.done({"devices": [{"name": device.name, "uri": device.uri} for device in devices]})


def remove(name: str, workspace: Path | None, as_json: bool) -> None:
    from ...devices.registry import Registry

    Registry(Workspace.find(workspace).root).remove(name)
    output = Output(as_json)
    output.say(f"removed {name}; its measurements stay in the store")
    output.done({"removed": name})


def check(name: str, workspace: Path | None, as_json: bool) -> None:
    from ...devices.connect import own_python
    from ...devices.deployment.deploy import agent_status
    from ...devices.probe.needs import missing
    from ...devices.probe.probe import probe_device
    from ...devices.probe.pythons import find_pythons
    from ...devices.registry import Registry
    from .agent import reached, status_json, status_rows

    output, place = Output(as_json), Workspace.find(workspace)
    device = Registry(place.root).get(name)
    own = own_python(device)
    with reached(name, place) as transport:
        report, pythons = probe_device(transport), find_pythons(transport, () if own is None else (own,))
        agent = agent_status(transport, name)
    deployed = own is not None or (agent.deployment is not None and agent.current)
    needs = missing(report, pythons, name, deployed, device.address.serial)
    found = {f"python {number}": f"{one.path}: {one.summary()}" for number, one in enumerate(pythons, 1)}
    output.table(name, {**report.rows(), **found, **status_rows(agent, name, own is not None)})
    for need in needs:
        output.say(f"! {need}")
    output.done(
        {
            "device": name,
            "report": report.to_json(),
            "pythons": [one.to_json() for one in pythons],
            "agent": status_json(agent, name),
            "missing": [{"what": need.what, "command": need.command} for need in needs],
        }
    )


def measure(
    model: Path, device: str, threads: int, backend: Backend, workspace: Path | None, as_json: bool
) -> None:
    from edgewright.device_agent.timing import TimingProtocol

    from ...devices.registry import Registry
    from ...devices.session.agent_session import MeasureJob
    from ...errors import MeasurementError
    from ...profiling.records import Measurement

    content = _read(model)
    try:
        protocol = TimingProtocol(n_runs=100, min_time_ms=250.0, threads=threads)
    except ValueError as error:
        raise InputError(str(error)) from error
    place = Workspace.find(workspace)
    with backend.open(Registry(place.root).get(device), place) as session:
        reply = session.measure(MeasureJob(model_sha=session.put_blob(content)), protocol)
    measurement = Measurement.from_reply(reply)
    if measurement.error is not None:
        unreadable = measurement.error.kind == "load_failed"
        remedy = "; is it a whole .tflite file? make or copy it again" if unreadable else ""
        raise MeasurementError(f"{model} could not be measured on {device!r}: {measurement.error}{remedy}")
    output = Output(as_json)
    memory = "unknown"
    if measurement.memory_mib is not None:
        memory = f"{measurement.memory_mib:.2f} MiB ({measurement.memory_method})"
    rows = {
        "latency": _latency(measurement, reply),
        "memory": memory,
        "load": _ms(measurement.load_ms),
        "size": f"{len(content) / 2**20:.2f} MiB",
    }
    delegate = None if backend.name == "agent" else backend.delegate
    output.table(f"{model} on {device}" + (f", delegate {delegate}" if delegate else ""), rows)
    means = {"backend": backend.name, "delegate": delegate}
    output.done({"model": str(model), "device": device, **means, "protocol": protocol.to_json(), **reply})


def push(model: Path, device: str, workspace: Path | None, as_json: bool) -> None:
    content = _read(model)
    check_delivered_name(model)
    with _session(device, workspace) as session:
        delivered = session.deliver(session.put_blob(content), model.name)
    output = Output(as_json)
    output.say(f"{model} is on {device} as {delivered['path']} (sha256 {delivered['sha256'][:12]}, checked there)")
    output.done({"model": str(model), "device": device, **delivered})


def check_delivered_name(model: Path) -> None:
    """Raises `InputError` for a file that cannot keep its name on a device; before anything slow."""
    from edgewright.device_agent.blobs import BlobError, check_artifact_name

    try:
        check_artifact_name(model.name)
    except BlobError as error:
        raise InputError(f"{error}; rename the file") from error


def _session(device: str, workspace: Path | None) -> AgentSession:
    from ...devices.connect import open_session
    from ...devices.registry import Registry

    place = Workspace.find(workspace).root
    return open_session(Registry(place).get(device), place)


def _read(model: Path) -> bytes:
    try:
        content = model.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read model {model}: {error.strerror or error}; check the path") from error
    if not content:
        raise InputError(f"model {model} is empty; make or copy it again")
    return content


def _latency(measurement: Measurement, reply: Mapping[str, Any]) -> str:
    """The figure and what it is: the agent's median of its samples, or the one that benchmark_model tells."""
    method = reply.get("latency_method")
    if method is not None:
        return f"{_ms(measurement.latency_ms)} ({method})"
    runs = f"{len(measurement.samples_ms or ())} runs"
    return f"{_ms(measurement.latency_ms)} median, MAD {_ms(reply['mad_ms'])}, p90 {_ms(reply['p90_ms'])} ({runs})"


def _ms(value: float | None) -> str:
    """benchmark_model does not tell everything."""
    return "unknown" if value is None else f"{value:.3f} ms"
