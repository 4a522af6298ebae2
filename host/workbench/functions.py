"""What needs no workbench of one's own: one call each, in the default workspace or a named one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .workbench import Workbench

if TYPE_CHECKING:
    from torch import nn

    from ..assembler.archive import TrainedSupernet
    from ..assembler.joint.recipe import JointRecipe
    from ..costs import Cost
    from ..delivery.handover import Delivery
    from ..training.hooks import Progress

Folder = str | os.PathLike[str]


def train(
    recipe: JointRecipe | str | Path,
    out: Folder,
    *,
    resume: bool = False,
    data: str | Path | None = None,
    mnist: str | Path | None = None,
    workspace: Folder | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> TrainedSupernet:
    """A supernet and its assembler, trained and written to the folder `out`; see `Workbench.train`."""
    with Workbench(workspace) as bench:
        return bench.train(recipe, Path(out), resume=resume, data=data, mnist=mnist, on_progress=on_progress)


def measure(model: Folder, device: str = "local", *, threads: int = 1, workspace: Folder | None = None) -> Cost:
    """Latency, memory and size of any model file on a device; `DeviceBench.measure` gives the raw samples too.

    Raises:
        InputError: the file cannot be read or is empty, the device is unknown, or `threads` is no number of threads.
        DeviceError: the device cannot be reached.
        MeasurementError: the device could not measure it.
    """
    from ..costs import Cost

    path = Path(model)
    with Workbench(workspace) as bench:
        measurement, _ = bench.device(device).measure(path, threads)
    return Cost(measurement.latency_ms, measurement.memory_mib, path.stat().st_size / 2**20)


def deliver(
    module: nn.Module,
    example_inputs: object,
    out: Folder,
    device: str = "local",
    *,
    workspace: Folder | None = None,
    **options: Any,
) -> Delivery:
    """Any torch module to a verdict on a device: converted, pushed, measured, compared with torch, written to `out`.

    `options` and errors are those of `DeviceBench.deliver`: `precision`, `budget`, `push`, `calibration` and others.
    """
    with Workbench(workspace) as bench:
        return bench.device(device).deliver(module, example_inputs, Path(out), **options)
