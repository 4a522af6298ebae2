"""`edgewright deliver`: convert any torch module and verify it on a device."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...wording import bytes_text, size_text
from ..options import Bound, Json, Numbers, WorkspaceDir
from ..output import Output

if TYPE_CHECKING:
    from ...delivery.handover import Delivery


def deliver(
    module: Annotated[str, typer.Argument(metavar="FILE.py:NAME", help="Your function, or package.module:NAME.")],
    device: Annotated[str, typer.Option(help="Name of the device.")] = "local",
    out: Annotated[Path, typer.Option(help="The model file to write.")] = Path("model.tflite"),
    latency_ms: Annotated[Bound, typer.Option(help="Upper bound on the median latency.")] = None,
    memory_mib: Annotated[
        Bound, typer.Option(help="Upper bound on memory: growth of the heap plus the model file.")
    ] = None,
    size_mib: Annotated[Bound, typer.Option(help="Upper bound on the size of the model file.")] = None,
    push: Annotated[bool, typer.Option("--push", help="Leave the model on the device.")] = False,
    precision: Numbers = "float32",
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Convert any torch module, measure it on a device and compare it there with torch.

    NAME() returns the module and a tuple of example inputs, and may add a list of such tuples to calibrate int8 on.
    """
    from ...delivery.quantization import parse_precision
    from ...workbench.device import check_delivered_name
    from ...workbench.workbench import Workbench
    from ..budget import parse_budget
    from ..factory import make_module

    output, numbers = Output(json_), parse_precision(precision)
    bounds = (latency_ms, memory_mib, size_mib)
    budget = None if bounds == (None, None, None) else parse_budget(*bounds)
    if push:
        check_delivered_name(out)
    with Workbench(workspace, output.say) as bench, contextlib.redirect_stdout(sys.stderr):  # the module may print
        target, made = bench.device(device), make_module(module)
        delivery = target.deliver(
            made.module, made.example_inputs, out, precision=numbers, calibration=made.calibration, budget=budget,
            push=push, on_status=output.say,
        )  # fmt: skip
    output.table("Delivered", _rows(delivery))
    output.done(delivery.to_json())


def _rows(delivery: Delivery) -> dict[str, str]:
    measured, (low, high) = delivery.measured, delivery.latency_spread_ms
    memory = "the device does not report it" if measured.memory_mib is None else size_text(measured.memory_mib)
    rows = {
        "module": delivery.purpose,
        "device": delivery.device,
        "latency": f"{measured.latency_ms:.4g} ms ({low:.4g} to {high:.4g})",
        "memory": memory,
        "file": f"{delivery.path}, {bytes_text(delivery.size_bytes)} in {delivery.precision}",
        "parity": f"largest difference to PyTorch {delivery.parity_max_abs:.1e}",
    }
    if delivery.budget is not None:
        rows["budget"] = f"{delivery.budget}, kept"
    if delivery.device_path is not None:
        rows["on the device"] = delivery.device_path
    return rows
