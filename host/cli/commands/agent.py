"""`edgewright agent`: the agent on a device."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InputError
from ...wording import bytes_text
from ..options import Json, WorkspaceDir
from ..output import Output

if TYPE_CHECKING:
    from ...devices.deployment.deploy import AgentStatus

agent_app = typer.Typer(help="The agent, which measures on a device.", no_args_is_help=True, rich_markup_mode=None)
DeviceName = Annotated[str, typer.Argument(help="Name of the device.")]


@agent_app.command("deploy")
def deploy(
    device: DeviceName,
    python: Annotated[str | None, typer.Option(help="A Python on the device. Default: the first that works.")] = None,
    runtime: Annotated[str | None, typer.Option(help="ai-edge-litert, tflite-runtime or tensorflow.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="A runtime bundle that was built on another machine.")] = None,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Put the agent on a device, with a runtime if it has none. Sends only what is missing."""
    from ...devices.connect import own_python
    from ...devices.deployment.deploy import DeployOptions
    from ...devices.deployment.deploy import deploy as run
    from ...workbench.workbench import Workbench

    output = Output(json_)
    with Workbench(workspace, output.say) as bench:
        target = bench.device(device)
        own = own_python(target.device)
        if own is not None and (python, runtime, bundle) != (None, None, None):
            raise InputError(
                f"on {device!r}, this machine, the agent runs in the Python that edgewright runs in ({own}); "
                "leave out --python, --runtime and --bundle"
            )
        started = time.monotonic()
        with target.reserved("deploy"), target.reached() as transport:
            options = DeployOptions(own or python, runtime, bundle)
            done = run(transport, device, bench.workspace.bundles, options, output.say)
            folder = transport.agent_dir
    seconds = time.monotonic() - started
    sent = f"sent {', '.join(done.sent)} ({bytes_text(done.sent_bytes)})" if done.sent else "nothing had to be sent"
    deployment = done.deployment
    output.say(
        f"{device} is ready: {deployment.runtime} {deployment.runtime_version} in {folder}; {sent}; the canary was "
        f"measured and its outputs are right; {seconds:.1f} s"
    )
    output.done(
        {
            "device": device,
            "agent_dir": folder,
            "sent": list(done.sent),
            "sent_bytes": done.sent_bytes,
            "canary_ms": done.canary_ms,
            "seconds": seconds,
            "deployment": deployment.to_json(),
        }
    )


@agent_app.command("status")
def status(device: DeviceName, workspace: WorkspaceDir = None, json_: Json = False) -> None:
    """Show which of edgewright's files are on a device."""
    from ...devices.connect import own_python
    from ...devices.deployment.deploy import agent_status
    from ...workbench.workbench import Workbench

    output = Output(json_)
    with Workbench(workspace, output.say) as bench:
        target = bench.device(device)
        with target.reached() as transport:
            status = agent_status(transport, device)
    output.table(device, status_rows(status, device, own_python(target.device) is not None))
    output.done(status_json(status, device))


@agent_app.command("remove")
def remove(device: DeviceName, workspace: WorkspaceDir = None, json_: Json = False) -> None:
    """Remove all of edgewright's files from a device, including delivered models."""
    from ...devices.deployment.deploy import remove_agent
    from ...workbench.workbench import Workbench

    output = Output(json_)
    with Workbench(workspace, output.say) as bench:
        target = bench.device(device)
        with target.reserved("remove the agent"), target.reached() as transport:
            there = remove_agent(transport, device)
            folder = transport.agent_dir
    output.say(f"{folder} was removed from {device}" if there else f"nothing of edgewright was on {device}")
    output.done({"device": device, "agent_dir": folder, "removed": there})


def status_rows(status: AgentStatus, device: str, local: bool) -> dict[str, str]:
    """For `local`, the first command that needs the agent installs it."""
    if status.deployment is None or (local and not status.current):
        return {
            "agent": "deployed when it is first needed" if local else f"not deployed; edgewright agent deploy {device}"
        }
    known = status.deployment
    runtime = f"{known.runtime} {known.runtime_version}"
    state = "this version's" if status.current else f"from another version; edgewright agent deploy {device}"
    return {
        "agent": f"{known.agent} ({state})",
        "runtime": known.reason if runtime in known.reason else f"{runtime}: {known.reason}",
        "agent's folder": status.agent_dir,
        "agent uses": "unknown" if status.used_kib is None else f"{status.used_kib / 1024:.1f} MiB",
        "free there": "unknown" if status.free_kib is None else f"{status.free_kib / 1024:.0f} MiB",
    }


def status_json(status: AgentStatus, device: str) -> dict[str, object]:
    known = status.deployment
    return {
        "device": device,
        "agent_dir": status.agent_dir,
        "deployed": known is not None,
        "current": status.current,
        "deployment": None if known is None else known.to_json(),
        "used_kib": status.used_kib,
        "free_kib": status.free_kib,
    }
