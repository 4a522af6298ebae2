"""`edgewright agent ...`: the agent on a device."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError
from ...workspace import Workspace
from ..output import Output

if TYPE_CHECKING:
    from ...devices.deployment.deploy import AgentStatus
    from ...devices.transport import Transport


def deploy(
    device: str,
    python: str | None,
    runtime: str | None,
    bundle: Path | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    from ...devices.connect import own_python
    from ...devices.deployment.deploy import DeployOptions
    from ...devices.deployment.deploy import deploy as run
    from ...devices.registry import Registry

    output, place = Output(as_json), Workspace.find(workspace)
    own = own_python(Registry(place.root).get(device))
    if own is not None and (python, runtime, bundle) != (None, None, None):
        raise InputError(
            f"on {device!r}, this machine, the agent runs in the Python that edgewright runs in ({own}); "
            "leave out --python, --runtime and --bundle"
        )
    options = DeployOptions(own or python, runtime, bundle)
    started = time.monotonic()
    with reached(device, place) as transport:
        done = run(transport, device, place.bundles, options, output.say)
        folder = transport.agent_dir
    seconds = time.monotonic() - started
    sent = f"sent {', '.join(done.sent)} ({done.sent_bytes / 2**20:.1f} MiB)" if done.sent else "nothing had to be sent"
    found = done.deployment
    output.say(
        f"{device} is ready: {found.runtime} {found.runtime_version} in {folder}; {sent}; the canary was measured and "
        f"computed right; {seconds:.1f} s"
    )
    output.done(
        {
            "device": device,
            "agent_dir": folder,
            "sent": list(done.sent),
            "sent_bytes": done.sent_bytes,
            "canary_ms": done.canary_ms,
            "seconds": seconds,
            "deployment": found.to_json(),
        }
    )


def status(device: str, workspace: Path | None, as_json: bool) -> None:
    from ...devices.connect import own_python
    from ...devices.deployment.deploy import agent_status
    from ...devices.registry import Registry

    output, place = Output(as_json), Workspace.find(workspace)
    with reached(device, place) as transport:
        found = agent_status(transport, device)
    output.table(device, status_rows(found, device, own_python(Registry(place.root).get(device)) is not None))
    output.done(status_json(found, device))


def remove(device: str, workspace: Path | None, as_json: bool) -> None:
    from ...devices.deployment.deploy import remove_agent

    output = Output(as_json)
    with reached(device, Workspace.find(workspace)) as transport:
        there = remove_agent(transport, device)
        folder = transport.agent_dir
    output.say(f"{folder} is gone from {device}" if there else f"there was nothing of ours on {device}")
    output.done({"device": device, "agent_dir": folder, "removed": there})


@contextmanager
def reached(device: str, place: Workspace) -> Iterator[Transport]:
    """A transport to a device of the registry, closed at the end."""
    from ...devices.connect import connect
    from ...devices.registry import Registry

    transport = connect(Registry(place.root).get(device), place.root)
    try:
        yield transport
    finally:
        transport.close()


def status_rows(found: AgentStatus, device: str, local: bool) -> dict[str, str]:
    """`local`: the agent is put there by the first command that needs it."""
    if found.deployment is None or (local and not found.current):
        return {"agent": "comes by itself" if local else f"not deployed; edgewright agent deploy {device}"}
    known = found.deployment
    runtime = f"{known.runtime} {known.runtime_version}"
    state = "this version's" if found.current else f"another version's; edgewright agent deploy {device}"
    return {
        "agent": f"{known.agent} ({state})",
        "runtime": known.reason if runtime in known.reason else f"{runtime}: {known.reason}",
        "agent's folder": found.agent_dir,
        "agent uses": "unknown" if found.used_kib is None else f"{found.used_kib / 1024:.1f} MiB",
        "free there": "unknown" if found.free_kib is None else f"{found.free_kib / 1024:.0f} MiB",
    }


def status_json(found: AgentStatus, device: str) -> dict[str, object]:
    known = found.deployment
    return {
        "device": device,
        "agent_dir": found.agent_dir,
        "deployed": known is not None,
        "current": found.current,
        "deployment": None if known is None else known.to_json(),
        "used_kib": found.used_kib,
        "free_kib": found.free_kib,
    }
