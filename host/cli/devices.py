"""`edgewright device ...`, `measure` and `push`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..workspace import Workspace
from .output import Output

if TYPE_CHECKING:
    from ..devices.session import AgentSession


def add(name: str, uri: str, workspace: Path | None, as_json: bool) -> None:
    from ..devices.registry import Registry

    device = Registry(Workspace.find(workspace).root).add(name, uri)
    output = Output(as_json)
    output.say(f"added {device.name}: {device.uri}; `edgewright device check {device.name}` says what is there")
    output.done({"name": device.name, "uri": device.uri})


def list_devices(workspace: Path | None, as_json: bool) -> None:
    from ..devices.registry import Registry

    devices = Registry(Workspace.find(workspace).root).list()
    output = Output(as_json)
    output.grid(["device", "uri"], [[device.name, device.uri] for device in devices])
    output.done({"devices": [{"name": device.name, "uri": device.uri} for device in devices]})


def remove(name: str, workspace: Path | None, as_json: bool) -> None:
    from ..devices.registry import Registry

    Registry(Workspace.find(workspace).root).remove(name)
    output = Output(as_json)
    output.say(f"removed {name}; its measurements stay in the store")
    output.done({"removed": name})


def check(name: str, workspace: Path | None, as_json: bool) -> None:
    with _session(name, workspace) as session:
        facts, health = session.facts(), session.health()
    output = Output(as_json)
    output.table(name, {**_flat(facts), **{f"health.{key}": value for key, value in _flat(health).items()}})
    output.done({"device": name, "facts": facts, "health": health})


def measure(model: Path, device: str, threads: int, workspace: Path | None, as_json: bool) -> None:
    from edgewright.device_agent.timing import TimingProtocol

    from ..devices.session import MeasureJob
    from ..errors import MeasurementError
    from ..profiling.records import Measurement

    content = _read(model)
    try:
        protocol = TimingProtocol(n_runs=100, min_time_ms=250.0, threads=threads)
    except ValueError as error:
        raise InputError(str(error)) from error
    with _session(device, workspace) as session:
        reply = session.measure(MeasureJob(model_sha=session.put_blob(content)), protocol)
    measurement = Measurement.from_reply(reply)
    if measurement.error is not None:
        unreadable = measurement.error.kind == "load_failed"
        remedy = "; is it a whole .tflite file? make or copy it again" if unreadable else ""
        raise MeasurementError(f"{model} could not be measured on {device!r}: {measurement.error}{remedy}")
    output = Output(as_json)
    runs = f"{len(measurement.samples_ms or ())} runs"
    memory = "unknown"
    if measurement.memory_mib is not None:
        memory = f"{measurement.memory_mib:.2f} MiB ({measurement.memory_method})"
    rows = {
        "latency": f"{reply['median_ms']:.3f} ms median, MAD {reply['mad_ms']:.3f}, p90 {reply['p90_ms']:.3f} ({runs})",
        "memory": memory,
        "load": f"{measurement.load_ms:.2f} ms",
        "size": f"{len(content) / 2**20:.2f} MiB",
    }
    output.table(f"{model} on {device}", rows)
    output.done({"model": str(model), "device": device, "protocol": protocol.to_json(), **reply})


def push(model: Path, device: str, workspace: Path | None, as_json: bool) -> None:
    content = _read(model)
    with _session(device, workspace) as session:
        delivered = session.deliver(session.put_blob(content), model.name)
    output = Output(as_json)
    output.say(f"{model} is on {device} as {delivered['path']} (sha256 {delivered['sha256'][:12]}, checked there)")
    output.done({"model": str(model), "device": device, **delivered})


def _session(device: str, workspace: Path | None) -> AgentSession:
    from ..devices.registry import Registry
    from ..devices.session import open_session

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


def _flat(data: Any, prefix: str = "") -> dict[str, str]:
    """Nested facts as dotted names."""
    if not isinstance(data, dict):
        return {prefix: "unknown" if data is None else str(data)}
    rows: dict[str, str] = {}
    for key, value in data.items():
        rows |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return rows
