"""`edgewright device` and `edgewright agent`: what is typed. What is done is in `devices` and `agent`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Json, WorkspaceDir

device_app = typer.Typer(help="The devices models are made for.", no_args_is_help=True, rich_markup_mode=None)
agent_app = typer.Typer(help="The agent on a device: it measures.", no_args_is_help=True, rich_markup_mode=None)


@device_app.command("add")
def device_add(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    uri: Annotated[str, typer.Argument(help="local: · ssh://user@host:port · adb://SERIAL")],
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Remember a device under a name."""
    from .commands.device import add as run

    run(name, uri, workspace, json_)


@device_app.command("list")
def device_list(workspace: WorkspaceDir = None, json_: Json = False) -> None:
    """The known devices."""
    from .commands.device import list_devices as run

    run(workspace, json_)


@device_app.command("check")
def device_check(
    name: Annotated[str, typer.Argument(help="Name of the device.")] = "local",
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """What a device is, what state it is in, and what is missing with the command that mends it."""
    from .commands.device import check as run

    run(name, workspace, json_)


@device_app.command("remove")
def device_remove(
    name: Annotated[str, typer.Argument(help="Name of the device.")],
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Forget a device."""
    from .commands.device import remove as run

    run(name, workspace, json_)


@agent_app.command("deploy")
def agent_deploy(
    device: Annotated[str, typer.Argument(help="Name of the device.")],
    python: Annotated[str | None, typer.Option(help="A Python of the device. Default: the first that works.")] = None,
    runtime: Annotated[str | None, typer.Option(help="ai-edge-litert, tflite-runtime or tensorflow.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="A runtime bundle that was built elsewhere.")] = None,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Put the agent on a device, with a runtime where there is none; only what is missing is sent."""
    from .commands.agent import deploy as run

    run(device, python, runtime, bundle, workspace, json_)


@agent_app.command("status")
def agent_status(
    device: Annotated[str, typer.Argument(help="Name of the device.")],
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """What of ours is on a device."""
    from .commands.agent import status as run

    run(device, workspace, json_)


@agent_app.command("remove")
def agent_remove(
    device: Annotated[str, typer.Argument(help="Name of the device.")],
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Take everything of ours off a device, delivered models included."""
    from .commands.agent import remove as run

    run(device, workspace, json_)
