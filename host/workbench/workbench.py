"""A workspace at work: what the command line, reports, evaluations and benchmarks open once and share."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ..workspace import Workspace
from .data import Say
from .options import BenchmarkModel

if TYPE_CHECKING:
    import pandas as pd
    from edgewright.converters.precision import Precision

    from ..assembler.archive import TrainedSupernet
    from ..assembler.joint.recipe import JointRecipe
    from ..devices.registry import Registry
    from ..domains.protocol import DataSources
    from ..profiling.columns import RecordColumns
    from ..profiling.plan import Campaign
    from ..profiling.store.store import Store
    from ..tasks.domain import TaskDomain
    from ..training.hooks import Progress as TrainingProgress
    from .device import DeviceBench
    from .measured import MeasuredSupernet
    from .on_device import SupernetOnDevice
    from .supernet import SupernetBench


class Workbench:
    """Opens the parts of a workspace when they are first needed, and closes them at the end; a context manager.

        with Workbench("edgewright-workspace") as bench:
            model = bench.pair("phone", "numvqa-resnet").customize("only two, even", Budget(latency_ms=5), path)

    Args:
        workspace: its folder; None means `$EDGEWRIGHT_WORKSPACE`, else `./edgewright-workspace`.
        on_status: gets a sentence for a person whenever something slow begins or something unusual happens.
    """

    def __init__(
        self, workspace: str | os.PathLike[str] | None = None, on_status: Say = lambda sentence: None
    ) -> None:
        self.workspace = Workspace.find(None if workspace is None else Path(workspace))
        self.on_status = on_status
        self._stack = ExitStack()
        self._devices: dict[str, DeviceBench] = {}

    def __enter__(self) -> Workbench:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close sessions first, then the store. Parts that are needed afterwards are opened again."""
        with self._stack:
            while self._devices:
                self._stack.callback(self._devices.popitem()[1].close)
        vars(self).pop("store", None)

    @cached_property
    def store(self) -> Store:
        """The workspace's measurements. Raises `InputError` and `StorageError` where they cannot be opened."""
        from ..profiling.store.store import Store

        return self._stack.enter_context(Store.open(self.workspace.store))

    @cached_property
    def registry(self) -> Registry:
        from ..devices.registry import Registry

        return Registry(self.workspace.root)

    def device(self, name: str = "local", measurer: BenchmarkModel | None = None) -> DeviceBench:
        """A device of the registry, not reached before it is needed. Raises `InputError` for an unknown name."""
        from .device import DeviceBench

        if name not in self._devices:
            self._devices[name] = DeviceBench(self.registry.get(name), self.workspace.root, measurer)
        return self._devices[name]

    def supernet(
        self,
        supernet: str | Path | TrainedSupernet | None = None,
        precision: Precision | str = "float32",
        data: str | Path | None = None,
        mnist: str | Path | None = None,
        domain: TaskDomain | None = None,
    ) -> SupernetBench:
        """A trained supernet, and the data of its tasks.

        Args:
            supernet: a shipped one's name, a folder, one in memory, or None for the default one.
            precision: of the models that are measured and delivered: "float32", "float16" or "int8".
            data: the user's data; the shipped data if None.
            mnist: torchvision's MNIST files, in place of the digits that come along.
            domain: the tasks and their data, where they are open already.

        Raises `InputError` where there is none, or it is damaged, and for an unknown precision.
        """
        from ..assembler.archive import TrainedSupernet
        from ..delivery.quantization import parse_precision
        from ..shipped import find_supernet
        from .data import domain_of
        from .supernet import SupernetBench

        numbers = parse_precision(str(precision))
        named = Path(supernet) if isinstance(supernet, (str, Path)) else None
        trained = supernet if isinstance(supernet, TrainedSupernet) else TrainedSupernet.load(find_supernet(named))

        def open_domain() -> TaskDomain:
            return domain or domain_of(trained, self.sources(data, mnist))

        return SupernetBench(trained, numbers, open_domain, self.workspace, self.on_status, named)

    def sources(self, data: str | Path | None = None, mnist: str | Path | None = None) -> DataSources:
        """Where the data of a task domain come from: the user's folders, or the shipped data."""
        from .data import sources_of

        return sources_of(self.workspace, self.on_status, data, mnist)

    def train(
        self,
        recipe: JointRecipe | str | Path,
        out: str | Path,
        *,
        resume: bool = False,
        data: str | Path | None = None,
        mnist: str | Path | None = None,
        domain: TaskDomain | None = None,
        on_progress: Callable[[TrainingProgress], None] = lambda progress: None,
    ) -> TrainedSupernet:
        """A supernet and its assembler, trained and written to the folder `out`.

        Args:
            recipe: a shipped one, such as "numvqa-resnet", a TOML file, or one in memory.
            resume: continue an interrupted run; its weights come out as if it had not been interrupted.
            data: the user's data; those that come along where None.
            mnist: torchvision's MNIST files, in place of the digits that come along.
            domain: the tasks and their data, where they are open already.
            on_progress: is told after every step how far training is.

        Raises `InputError` for a recipe with a mistake, missing data, a folder that is taken, and nothing to resume.
        """
        from ..assembler.joint.recipe import JointRecipe
        from ..assembler.joint.recipe_files import load_recipe
        from ..assembler.joint.train import train

        asked = recipe if isinstance(recipe, JointRecipe) else load_recipe(str(recipe))
        opened = domain or self.domain(asked, data, mnist)
        return train(asked, Path(out), opened, resume=resume, on_progress=on_progress)

    def domain(
        self, recipe: JointRecipe, data: str | Path | None = None, mnist: str | Path | None = None
    ) -> TaskDomain:
        """The tasks of a recipe over the user's data or the shipped data. Raises `InputError`."""
        from .data import recipe_domain

        return recipe_domain(recipe, self.sources(data, mnist))

    def records_table(
        self, device_name: str | None = None, supernets: Sequence[str | Path] = ()
    ) -> pd.DataFrame:
        """All measurements of a device, or of all devices: one row each, failed ones included.

        Args:
            device_name: as campaigns name it; the device need not be in the registry any more.
            supernets: folders of supernets whose sites become columns, beside those of the shipped ones.

        Latencies are medians in ms as measured; `corrected_ms` is without the device's drift. What is not known is
        missing, never 0.
        """
        from ..assembler.archive import subnets_of
        from ..predictors.drift.correction import corrected_ms
        from ..profiling.table import records_table
        from ..shipped import find_supernet, shipped_supernets

        folders = [*(find_supernet(Path(each)) for each in supernets), *shipped_supernets().values()]
        spaces = {space.digest: space for space in map(subnets_of, folders)}

        def corrected(campaign: Campaign, columns: RecordColumns) -> dict[int, float]:
            space = spaces.get(campaign.space_digest)
            return {} if space is None else corrected_ms(columns, space)

        return records_table(self.store, device_name, spaces=spaces.values(), corrected=corrected)

    def measured(
        self, device_name: str, supernet: SupernetBench | None = None, predictor: str = "linear"
    ) -> MeasuredSupernet:
        """What is known of a supernet on a device, even one that is no longer in the registry."""
        from .measured import MeasuredSupernet

        net = supernet or self.supernet()
        return MeasuredSupernet(device_name, net, lambda: self.store, self.workspace, _checked(predictor))

    def pair(
        self,
        device: DeviceBench | str = "local",
        supernet: SupernetBench | TrainedSupernet | str | Path | None = None,
        predictor: str = "linear",
    ) -> SupernetOnDevice:
        """A supernet on a device, whose costs the named predictor predicts.

        Raises what `device` and `supernet` raise, and `InputError` for an unknown predictor.
        """
        from .on_device import SupernetOnDevice
        from .supernet import SupernetBench

        kind = _checked(predictor)
        target = self.device(device) if isinstance(device, str) else device
        net = supernet if isinstance(supernet, SupernetBench) else self.supernet(supernet)
        return SupernetOnDevice(target, net, lambda: self.store, self.workspace, kind, self.on_status)


def _checked(predictor: str) -> str:
    from ..predictors.base import PREDICTORS

    PREDICTORS.check(predictor)
    return predictor
