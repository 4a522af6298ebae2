"""`edgewright pareto`: what a task costs on a device, from the smallest answer to the whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ...files import write_atomic
from ...workspace import Workspace
from ..output import Output
from .profile import device_predictors, load_supernet

if TYPE_CHECKING:
    from ...customize.pareto import ParetoPoint


def pareto(
    task: str,
    device: str,
    out: Path | None,
    precision: str,
    supernet: Path | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    from ...customize.pareto import pareto_front, pareto_points
    from ...workbench.profiles import cost_model

    output, place = Output(as_json), Workspace.find(workspace)
    if out is not None and out.suffix != ".csv":
        raise InputError(f"--out must end in .csv, got {out}")
    trained, template = load_supernet(supernet, place, output, precision)
    parsed = trained.tasks.parse(task)
    predict = cost_model(device_predictors(device, place, trained, template, precision, supernet))
    front = pareto_front(pareto_points(trained.assembler, template, predict, parsed))
    rows = [_row(point) for point in front]
    if out is not None:
        import pandas as pd

        write_atomic(out, pd.DataFrame(rows).to_csv(index=False).encode())
        output.say(f"{len(rows)} points: {out}")
    shown = rows[:: max(1, len(rows) // 20)]
    output.grid(list(rows[0]), [["" if v is None else f"{v:.4g}" for v in row.values()] for row in shown])
    output.done({"task": str(parsed), "device": device, "precision": precision, "points": rows})


def _row(point: ParetoPoint) -> dict[str, Any]:
    return {
        "limit": point.limit,
        "ratio": point.gates.ratio,
        "latency_ms": point.latency_ms,
        "memory_mib": point.memory_mib,
        "size_mib": point.size_mib,
        "score": point.score,
    }
