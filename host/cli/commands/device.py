"""`edgewright device`: the devices that models are made for."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import Json, WorkspaceDir
from ..output import Output
from .agent import status_json, status_rows

device_app = typer.Typer(help="The devices that models are made for.", no_args_is_help=True, rich_markup_mode=None)


@device_app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name for the device.")],
    uri: Annotated[str, typer.Argument(help="local: · ssh://user@host:port · adb://SERIAL")],
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Remember a device under a name."""
    from ...devices.registry import settled_uri
    from ...workbench.workbench import Workbench

    output = Output(json_)
    with Workbench(workspace, output.say) as bench:
        device = bench.registry.add(name, settled_uri(uri))
    output.say(f"added {device.name}: {device.uri}; `edgewright device check {device.name}` shows what it has")
    output.done({"name": device.name, "uri": device.uri})


@device_app.command("list")
def list_devices(workspace: WorkspaceDir = None, json_: Json = False) -> None:
    """List the known devices."""
    from ...workbench.workbench import Workbench

    output = Output(json_)
    with Workbench(workspace, output.say) as bench:
        devices = bench.registry.list()
    output.grid(["device", "uri"], [[device.name, device.uri] for device in devices])
    output.done({"devices": [{"name": device.name, "uri": device.uri} for device in devices]})


@device_app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="Name of the device.")] = "local",
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Show what a device is, its state, and what is missing, with the command that fixes it."""
    from ...devices.connect import own_python
    from ...devices.deployment.deploy import agent_status
    from ...devices.probe.device import probe_device
    from ...devices.probe.needs import missing
    from ...devices.probe.pythons import find_pythons
    from ...workbench.workbench import Workbench

    output = Output(json_)
    with Workbench(workspace, output.say) as bench:
        target = bench.device(name)
        device, own = target.device, own_python(target.device)
        with target.reached() as transport:
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


@device_app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="Name of the device.")],
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Forget a device."""
    from ...workbench.workbench import Workbench

    output = Output(json_)
    with Workbench(workspace, output.say) as bench:
        bench.registry.remove(name)
    output.say(f"removed {name}; its measurements remain in the store")
    output.done({"removed": name})
