"""This machine with everything that the scenarios need, opened once: campaign, customizer, baselines, budgets."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from edgewright.converters.torch_to_tflite import convert
from torch import nn

from ...assembler.archive import TrainedSupernet
from ...assembler.joint.recipe import JointRecipe
from ...costs import Budget, Cost
from ...customize.customizer import Customizer
from ...delivery.manifest import manifest_path
from ...errors import InputError
from ...files import write_atomic
from ...gates import Gates
from ...predictors.judging.learning import MIN_SUBNETS
from ...supernet.outputs import keep_outputs
from ...tasks import Task
from ...tasks.domain import TaskDomain
from ...training.scoring import model_score
from ...workbench.on_device import SupernetOnDevice
from ...workbench.options import CampaignOptions
from ...workbench.workbench import Workbench
from ..result_table import ResultTable, file_stem, number
from .baselines import Baselines
from .options import Options

PREPARATION = ("method", "what", "seconds")
LEARNING = ("n_train", "mape", "least", "most")
LEARNING_FILE = "learning.csv"
FULL = ("supernet", "latency_ms", "memory_mib", "size_mib")


def preparation_table(folder: Path) -> ResultTable:
    return ResultTable(folder / "preparation.csv", PREPARATION, 2)


def learning_table(folder: Path) -> ResultTable:
    return ResultTable(folder / LEARNING_FILE, LEARNING, 1)


def full_table(folder: Path) -> ResultTable:
    """What the full supernet costs here: measured once, so that budgets stay what they are."""
    return ResultTable(folder / "full.csv", FULL, 1)


@dataclass(frozen=True)
class Bench:
    """What one evaluation's scenarios share."""

    folder: Path
    options: Options
    pair: SupernetOnDevice
    customizer: Customizer
    baselines: Baselines
    full: Cost

    @property
    def trained(self) -> TrainedSupernet:
        return self.pair.supernet.trained

    @property
    def domain(self) -> TaskDomain:
        return self.pair.supernet.domain

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(self.domain.space.parse(text) for text in self.options.tasks)

    def measure(self, model: nn.Module) -> Cost:
        """What a torch model costs here: converted, pushed, measured."""
        return self.pair.device.cost(convert(model.eval(), torch.zeros(1, *self.trained.image_shape)))

    def budget(self, share: float) -> Budget:
        """The share of the full supernet's latency and memory."""
        memory = self.full.memory_mib
        return Budget((self.full.latency_ms or 0.0) * share, None if memory is None else memory * share)

    def for_task(self, model: nn.Module, task: Task) -> nn.Module:
        """A copy with the task's own outputs, where a model for one task has others than the supernet."""
        outputs = self.domain.outputs(task)
        return model if outputs is None else keep_outputs(copy.deepcopy(model), outputs.rows)

    def accuracy(self, model: nn.Module, task: Task) -> float:
        """The domain's score on the test images that customised models are judged by."""
        rng = np.random.default_rng(self.options.seed)
        return model_score(model, self.domain.examples(task, "test", self.options.n_images, rng))

    def generated_path(self, task: Task, share: float) -> Path:
        return self.folder / "models" / f"edgewright-{file_stem(str(task))}-{share:g}.tflite"

    def generated_gates(self, task: Task, share: float) -> Gates | None:
        """Of the model that customising delivered for a scenario; None where it found none."""
        path = self.generated_path(task, share)
        manifest = manifest_path(path)
        if not manifest.exists():
            return None
        packed = json.loads(manifest.read_bytes())["gates"]["packed"]
        return self.trained.supernet.space.unpack(bytes.fromhex(packed))

    def prepared(self, method: str, what: str, seconds: float) -> None:
        """Note what a method costs once."""
        table = preparation_table(self.folder)
        if not table.has(method, what):
            table.add({"method": method, "what": what, "seconds": seconds})


@contextmanager
def open_bench(folder: Path, trained: TrainedSupernet, domain: TaskDomain, options: Options) -> Iterator[Bench]:
    """Profile this machine where it was not yet, and fit predictors.

    Raises `InputError` for a folder with another supernet's scenarios, `MeasurementError` and `DeviceError` where this
    machine cannot be measured.
    """
    known = full_table(folder)
    if any(row["supernet"] != trained.digest for row in known.rows):
        raise InputError(f"{folder} holds the scenarios of another supernet; choose another folder")
    with Workbench(folder / "workspace") as workbench:
        pair = workbench.pair("local", workbench.supernet(trained, domain=domain))
        campaign_s = _campaign_s(pair, options)
        _learning(folder, pair, options.seed)
        if not known.rows:
            known.add({"supernet": trained.digest, **pair.full_cost().to_json()})
        (row,) = known.rows
        full = Cost(number(row["latency_ms"]), number(row["memory_mib"]), number(row["size_mib"]))
        customizer = pair.customizer(seed=options.seed, test_images=options.n_images)
        bench = Bench(folder, options, pair, customizer, _baselines(folder, pair, options), full)
        bench.prepared("edgewright", "campaign", campaign_s)
        bench.prepared("edgewright", "supernet", float(trained.facts.get("train_s", 0.0)))
        yield bench


def _baselines(folder: Path, pair: SupernetOnDevice, options: Options) -> Baselines:
    recipe = JointRecipe.from_json(pair.supernet.trained.facts["recipe"])
    objective = recipe.domain.kind.objective(pair.supernet.domain, recipe.domain.settings)
    return Baselines(folder, recipe, objective, options.until, options.prune_tries, options.workers)


def _campaign_s(pair: SupernetOnDevice, options: Options) -> float:
    """The seconds that the campaign's measurements took; an interrupted campaign continues."""
    begun = pair.store.campaigns(pair.device_name, pair.source)
    profiled = pair.profile(CampaignOptions(options.subnets, options.seed, resume=bool(begun)))
    records = pair.store.records(profiled.campaign)
    spent_ms = sum((record.measurement.child_ms or 0.0) + (record.overhead_ms or 0.0) for record in records)
    return spent_ms / 1000


def _learning(folder: Path, pair: SupernetOnDevice, seed: int) -> None:
    """Fig. 13, of the campaign on this machine; all of its points or none."""
    if learning_table(folder).rows or len(np.unique(pair.columns().digests)) < 2 * MIN_SUBNETS:
        return
    curve = pair.learning_curve(seed)
    points = pd.DataFrame([vars(point) for point in curve.points] if curve else [], columns=list(LEARNING))
    write_atomic(folder / LEARNING_FILE, points.to_csv(index=False, float_format="%.6g").encode())
