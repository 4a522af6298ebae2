"""Functions that open a workbench themselves: one call each, in the default workspace or a named one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .data import Say
from .workbench import Workbench

if TYPE_CHECKING:
    from torch import nn

    from ..assembler.archive import TrainedSupernet
    from ..assembler.joint.recipe import JointRecipe
    from ..costs import Budget, ModelCost
    from ..delivery.handover import Delivery
    from ..training.hooks import Progress

Folder = str | os.PathLike[str]


def _silent(sentence: str) -> None:
    pass


def train(
    recipe: JointRecipe | str | Path,
    out: Folder,
    *,
    resume: bool = False,
    data: str | Path | None = None,
    mnist: str | Path | None = None,
    workspace: Folder | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_status: Say = _silent,
) -> TrainedSupernet:
    """A supernet and its assembler, trained and written to the folder `out`; see `Workbench.train`."""
    with Workbench(workspace, on_status) as bench:
        return bench.train(recipe, Path(out), resume=resume, data=data, mnist=mnist, on_progress=on_progress)


def measure(
    model: Folder,
    device: str = "local",
    *,
    threads: int = 1,
    signature: str | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    per_op: bool = False,
    workspace: Folder | None = None,
    on_status: Say = _silent,
) -> ModelCost:
    """Latency, memory and size of any model file on a device; `DeviceBench.measure` gives the raw samples too.

    Args:
        signature: which of the model's signatures to run; the first where None.
        shapes: of inputs, by name; as the model declares them where left out, with 1 for any size.
        per_op: ask the runtime what single operators cost, too.

    Raises:
        InputError: the file cannot be read or is empty, the device is unknown, `threads` is no number of threads, or
            the model has no such signature or input, or does not take such a shape.
        DeviceError: the device cannot be reached.
        MeasurementError: the device could not measure it.
    """
    from ..costs import ModelCost

    path = Path(model)
    with Workbench(workspace, on_status) as bench:
        found = bench.device(device).measure(path, threads, signature=signature, shapes=shapes, per_op=per_op)
    called = {name: tuple(shape) for name, shape in found.shapes.items()}
    operators = None if found.per_op is None else tuple(found.per_op)
    size_mib = path.stat().st_size / 2**20
    return ModelCost(found.latency_ms, found.memory_mib, size_mib, found.signature, called, operators)


def deliver(
    module: nn.Module,
    example_inputs: object,
    out: Folder,
    device: str = "local",
    *,
    precision: str = "float32",
    calibration: Sequence[object] | None = None,
    budget: Budget | None = None,
    push: bool = False,
    workspace: Folder | None = None,
    on_status: Say = _silent,
) -> Delivery:
    """Any torch module to a verdict on a device: converted, pushed, measured, compared with torch, written to `out`.

    Args:
        module: in eval mode, on the CPU.
        example_inputs: a tuple of tensors, one for each input; the model keeps their shapes.
        precision: "float32", "float16" or "int8".
        calibration: sets of inputs that int8 is calibrated on; the example inputs alone where None.
        budget: what the model may cost on the device; nothing is written where it costs more.
        push: leave the model on the device, too.

    Raises:
        InputError: a module or inputs that no model can be made of, or an unknown device.
        DeviceError: the device cannot be reached.
        MeasurementError: it cannot be converted, the device cannot run it, or computes something different from torch.
        BudgetError: it misses the budget on the device.
    """
    with Workbench(workspace, on_status) as bench:
        return bench.device(device).deliver(
            module, example_inputs, Path(out), precision=precision, calibration=calibration, budget=budget, push=push,
            on_status=on_status,
        )  # fmt: skip
