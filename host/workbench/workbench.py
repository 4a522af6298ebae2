"""A workspace at work: what the command line, reports, evaluations and benchmarks open once and share."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ..workspace import Workspace
from .data import Say
from .options import BenchmarkModel

if TYPE_CHECKING:
    from edgewright.converters.precision import Precision

    from ..devices.registry import Registry
    from ..profiling.store.store import Store
    from .device import DeviceBench
    from .on_device import SupernetOnDevice
    from .supernet import SupernetBench


class Workbench:
    """Opens what is in a workspace when it is first asked for, and closes it at the end; a context manager.

        with Workbench("edgewright-workspace") as bench:
            model = bench.pair("phone", "numvqa-resnet").customize("only two, even", Budget(latency_ms=5), path)

    Args:
        workspace: its folder; None means `$EDGEWRIGHT_WORKSPACE`, else `./edgewright-workspace`.
        say: gets a sentence for a person whenever something slow begins or something unusual happens.
    """

    def __init__(self, workspace: str | os.PathLike[str] | None = None, say: Say = lambda sentence: None) -> None:
        self.place = Workspace.find(None if workspace is None else Path(workspace))
        self.say = say
        self._stack = ExitStack()
        self._devices: dict[str, DeviceBench] = {}

    def __enter__(self) -> Workbench:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close sessions first, then the store."""
        self._stack.close()
        self._devices.clear()

    @cached_property
    def store(self) -> Store:
        """The workspace's measurements. Raises `InputError` and `StorageError` where they cannot be opened."""
        from ..profiling.store.store import Store

        return self._stack.enter_context(Store.open(self.place.store))

    @cached_property
    def registry(self) -> Registry:
        from ..devices.registry import Registry

        return Registry(self.place.root)

    def device(self, name: str = "local", measurer: BenchmarkModel | None = None) -> DeviceBench:
        """A device of the registry, not reached before it is needed. Raises `InputError` for an unknown name."""
        from .device import DeviceBench

        if name not in self._devices:
            self._devices[name] = DeviceBench(self.registry.get(name), self.place.root, measurer)
            self._stack.callback(self._devices[name].close)
        return self._devices[name]

    def supernet(
        self,
        named: str | Path | None = None,
        precision: Precision | str = "float32",
        data: Path | None = None,
        mnist: Path | None = None,
    ) -> SupernetBench:
        """A shipped supernet by its name, or a trained one by its folder; the default one where none is named.

        Raises `InputError` where there is none, or it is damaged, and for an unknown precision.
        """
        from ..delivery.quantization import parse_precision
        from .supernet import SupernetBench

        path = None if named is None else Path(named)
        return SupernetBench(path, self.place, self.say, parse_precision(str(precision)), data, mnist)

    def pair(
        self,
        device: DeviceBench | str = "local",
        supernet: SupernetBench | str | Path | None = None,
        predictor: str = "linear",
    ) -> SupernetOnDevice:
        """A supernet on a device, whose costs the named predictor predicts. Raises `InputError` for an unknown one."""
        from ..predictors.base import PREDICTORS
        from .on_device import SupernetOnDevice
        from .supernet import SupernetBench

        PREDICTORS.check(predictor)
        on = self.device(device) if isinstance(device, str) else device
        what = supernet if isinstance(supernet, SupernetBench) else self.supernet(supernet)
        return SupernetOnDevice(on, what, lambda: self.store, self.place, self.say, predictor)
