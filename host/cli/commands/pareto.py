"""`edgewright pareto`: what a task costs on a device, from the smallest subnet to the largest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import InputError
from ...wording import counted
from ..campaigns import suggesting_profile
from ..options import Json, Numbers, PredictorName, SupernetDir, WorkspaceDir
from ..output import Output

if TYPE_CHECKING:
    from ...customize.pareto import ParetoPoint


def pareto(
    task: Annotated[str, typer.Option(help='The task\'s attributes, such as "only two, even".')],
    device: Annotated[str, typer.Option(help="Name of the device.")] = "local",
    out: Annotated[Path | None, typer.Option(help="A .csv file to write all points to.")] = None,
    predictor: PredictorName = "linear",
    precision: Numbers = "float32",
    supernet: SupernetDir = None,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Show what a budget buys: the subnets for a task that no other beats in latency, memory, file size and score."""
    from ...files import write_atomic
    from ...workbench.workbench import Workbench

    output = Output(json_)
    if out is not None and out.suffix != ".csv":
        raise InputError(f"--out must end in .csv, got {out}")
    with Workbench(workspace, output.say) as bench, suggesting_profile(device, precision, supernet):
        net = bench.supernet(supernet, precision)
        asked = net.task(task)
        rows = [_row(point) for point in bench.pair(device, net, predictor).pareto(asked)]
    if out is not None:
        import pandas as pd

        write_atomic(out, pd.DataFrame(rows).to_csv(index=False).encode())
        output.say(f"{counted(len(rows), 'point', 'points')}: {out}")
    shown = rows[:: max(1, len(rows) // 20)]
    output.grid(list(rows[0]), [["" if v is None else f"{v:.4g}" for v in row.values()] for row in shown])
    output.done({"task": str(asked), "device": device, "precision": precision, "points": rows})


def _row(point: ParetoPoint) -> dict[str, Any]:
    return {
        "limit": point.limit,
        "ratio": point.gates.ratio,
        "latency_ms": point.latency_ms,
        "memory_mib": point.memory_mib,
        "size_mib": point.size_mib,
        "score": point.score,
    }
