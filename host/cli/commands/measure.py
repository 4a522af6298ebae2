"""`edgewright measure`: latency and memory of any model file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...wording import bytes_text, counted, size_text
from ..backend import AGENT, BackendName, Binary, Delegate, measurer
from ..options import Json, WorkspaceDir
from ..output import Output

if TYPE_CHECKING:
    from ...profiling.records import Measurement


def measure(
    model: Annotated[Path, typer.Argument(help="Any .tflite file; on desktops and Jetsons .pt2 and TorchScript too.")],
    device: Annotated[str, typer.Argument(help="Name of the device.")] = "local",
    threads: Annotated[int, typer.Option(help="Threads of the runtime.")] = 1,
    backend: BackendName = AGENT,
    binary: Binary = None,
    delegate: Delegate = "xnnpack",
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Measure any model file on a device: latency and memory."""
    from ...workbench.device import measuring_protocol
    from ...workbench.workbench import Workbench

    output, who = Output(json_), measurer(backend, binary, delegate)
    with Workbench(workspace, output.say) as bench:
        measurement, reply = bench.device(device, who).measure_and_tell(model, threads)
    memory = "unknown"
    if measurement.memory_mib is not None:
        memory = f"{size_text(measurement.memory_mib)} ({measurement.memory_method})"
    rows = {
        "latency": _latency(measurement, reply),
        "memory": memory,
        "load": _ms(measurement.load_ms),
        "size": bytes_text(model.stat().st_size),
    }
    used = None if who is None else who.delegate
    output.table(f"{model} on {device}" + (f", delegate {used}" if used else ""), rows)
    told = {"backend": backend, "delegate": used, "protocol": measuring_protocol(threads).to_json()}
    output.done({"model": str(model), "device": device, **told, **reply})


def _latency(measurement: Measurement, reply: Mapping[str, Any]) -> str:
    """The figure and what it is: the agent's median of its samples, or the one that benchmark_model tells."""
    method = reply.get("latency_method")
    if method is not None:
        return f"{_ms(measurement.latency_ms)} ({method})"
    runs = counted(len(measurement.samples_ms or ()), "run", "runs")
    return f"{_ms(measurement.latency_ms)} median, MAD {_ms(reply['mad_ms'])}, p90 {_ms(reply['p90_ms'])} ({runs})"


def _ms(value: float | None) -> str:
    """benchmark_model does not tell everything."""
    return "unknown" if value is None else f"{value:.3f} ms"
