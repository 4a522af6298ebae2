"""`edgewright measure`: latency and memory of any model file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import InputError
from ...wording import bytes_text, counted, size_text
from ..backend import AGENT, BackendName, Binary, Delegate, measurer
from ..options import Json, WorkspaceDir
from ..output import Output

if TYPE_CHECKING:
    from ...profiling.records import Measurement

Shapes = Annotated[
    list[str] | None,
    typer.Option("--shape", metavar="INPUT=SIZES", help="For example image=4,3,224,224; may be repeated."),
]


def measure(
    model: Annotated[Path, typer.Argument(help="Any .tflite file; on desktops and Jetsons .pt2 and TorchScript too.")],
    device: Annotated[str, typer.Argument(help="Name of the device.")] = "local",
    threads: Annotated[int, typer.Option(help="Threads of the runtime.")] = 1,
    signature: Annotated[str | None, typer.Option(help="The model's signature to run. Default: the first.")] = None,
    shape: Shapes = None,
    per_op: Annotated[bool, typer.Option("--per-op", help="Also show what single operators cost.")] = False,
    backend: BackendName = AGENT,
    binary: Binary = None,
    delegate: Delegate = "xnnpack",
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Measure any model file on a device: latency and memory."""
    from ...workbench.options import ModelCall
    from ...workbench.workbench import Workbench

    output, who = Output(json_), measurer(backend, binary, delegate)
    call = ModelCall(threads, signature, _shapes(shape or ()), per_op)
    with Workbench(workspace, output.say) as bench:
        measurement, reply = bench.device(device, who).measure_and_tell(model, call)
    memory = "unknown"
    if measurement.memory_mib is not None:
        memory = f"{size_text(measurement.memory_mib)} ({measurement.memory_method})"
    rows = {
        **dict(_called(reply, call.shapes or {})),
        "latency": _latency(measurement, reply),
        "memory": memory,
        "load": _ms(measurement.load_ms),
        "size": bytes_text(model.stat().st_size),
    }
    used = None if who is None else who.delegate
    output.table(f"{model} on {device}" + (f", delegate {used}" if used else ""), rows)
    if per_op:
        _show_operators(output, reply)
    told = {"backend": backend, "delegate": used, "protocol": call.protocol().to_json()}
    output.done({"model": str(model), "device": device, **told, **reply})


def _shapes(given: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """By input. Raises `InputError`."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in given:
        name, _, sizes = text.rpartition("=")
        try:
            shape = tuple(int(size) for size in sizes.split(",") if sizes)
        except ValueError:
            shape = (0,)
        if not name or min(shape, default=1) < 1:
            raise InputError(f"--shape takes an input and its sizes, such as image=4,3,224,224; got {text!r}")
        if name in shapes:
            raise InputError(f"--shape names input {name!r} twice")
        shapes[name] = shape
    return shapes


def _called(reply: Mapping[str, Any], asked: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Which signature and shapes were run, and how to run others."""
    others = [name for name in reply["signatures"] if name != reply["signature"]]
    if reply["signatures"]:
        more = f" (--signature takes {', '.join(others)} too)" if others else ""
        yield "signature", f"{reply['signature'] or 'the first graph, which has none'}{more}"
    for name, shape in reply["shapes"].items():
        free = name in reply["any_size"] and name not in asked
        more = f" (--shape {name}=... sets any of {_sizes(reply['any_size'][name])})" if free else ""
        yield f"input {name}", _sizes(shape) + more


def _sizes(shape: Sequence[int]) -> str:
    return ",".join("any" if size < 0 else str(size) for size in shape) or "a single number"


def _show_operators(output: Output, reply: Mapping[str, Any]) -> None:
    if reply["per_op"] is None:
        output.say(f"no table of operators: {reply['per_op_missing']}")
        return
    typed = any("type" in row for row in reply["per_op"])
    header = ["operator", *(["type"] if typed else []), "latency", "share"]
    rows = [
        [row["op"], *([row.get("type", "")] if typed else []), _ms(row["latency_ms"]), f"{row['share']:.1%}"]
        for row in reply["per_op"]
    ]
    output.grid(header, rows)


def _latency(measurement: Measurement, reply: Mapping[str, Any]) -> str:
    """The figure and what it is: the agent's median of its samples, or the one that benchmark_model reports."""
    method = reply.get("latency_method")
    if method is not None:
        return f"{_ms(measurement.latency_ms)} ({method})"
    runs = counted(len(measurement.samples_ms or ()), "run", "runs")
    return f"{_ms(measurement.latency_ms)} median, MAD {_ms(reply['mad_ms'])}, p90 {_ms(reply['p90_ms'])} ({runs})"


def _ms(value: float | None) -> str:
    """benchmark_model does not report everything."""
    return "unknown" if value is None else f"{value:.3f} ms"
