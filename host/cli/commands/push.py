"""`edgewright push`: a model file on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import Json, WorkspaceDir
from ..output import Output


def push(
    model: Annotated[Path, typer.Argument(help="The model file.")],
    device: Annotated[str, typer.Argument(help="Name of the device.")] = "local",
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Put a model on a device; its hash is checked there."""
    from ...workbench.workbench import Workbench

    output = Output(json_)
    with Workbench(workspace, output.say) as bench:
        delivered = bench.device(device).push(model)
    output.say(f"{model} is on {device} as {delivered['path']} (sha256 {delivered['sha256'][:12]}, checked there)")
    output.done({"model": str(model), "device": device, **delivered})
