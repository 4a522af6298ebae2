"""This machine with everything that the scenarios need, opened once: campaign, customizer, baselines, budgets."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from edgewright.converters.torch_to_tflite import convert
from edgewright.device_agent.template import Template
from edgewright.device_agent.timing import TimingProtocol
from torch import nn

from ...assembler.archive import TrainedSupernet
from ...assembler.joint.recipe import JointRecipe
from ...costs import Budget, Cost
from ...customize.customizer import Customizer
from ...customize.templates import load_or_build
from ...delivery.manifest import manifest_path
from ...delivery.verification import cost_of, measure_model
from ...devices.connect import open_session
from ...devices.registry import Registry
from ...errors import InputError
from ...files import write_atomic
from ...gates import Gates
from ...predictors.cost_model import cost_model
from ...predictors.fitting import fit_predictors
from ...predictors.judging.learning import MIN_SUBNETS, learning_curve
from ...profiling.plan import PlanOptions
from ...profiling.records import Record
from ...profiling.store.store import Store
from ...tasks import Task
from ...tasks.domain import TaskDomain
from ...training.fit import Fitted
from ...training.scoring import model_score
from ...workbench.profiles import find_resumable, profile_device, template_sha256
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
    trained: TrainedSupernet
    domain: TaskDomain
    session: Any
    customizer: Customizer
    baselines: Baselines
    full: Cost

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(self.domain.space.parse(text) for text in self.options.tasks)

    def measure(self, model: nn.Module) -> Cost:
        """What a torch model costs here: converted, pushed, measured."""
        content = convert(model.eval(), torch.zeros(1, *self.trained.image_shape))
        return cost_of(measure_model(self.session, content)[1], len(content))

    def budget(self, share: float) -> Budget:
        """The share of the full supernet's latency and memory."""
        memory = self.full.memory_mib
        return Budget((self.full.latency_ms or 0.0) * share, None if memory is None else memory * share)

    def accuracy(self, fitted: Fitted, task: Task) -> float:
        """The domain's score on the test images that customised models are judged by."""
        rng = np.random.default_rng(self.options.seed)
        return model_score(fitted.model, self.domain.examples(task, "test", self.options.n_images, rng))

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


def open_bench(
    stack: ExitStack, folder: Path, trained: TrainedSupernet, domain: TaskDomain, options: Options
) -> Bench:
    """Profile this machine where it was not yet, and fit predictors; `stack` closes what is opened.

    Raises `InputError` for a folder with another supernet's scenarios, `MeasurementError` and `DeviceError` where this
    machine cannot be measured.
    """
    known = full_table(folder)
    if any(row["supernet"] != trained.digest for row in known.rows):
        raise InputError(f"{folder} holds the scenarios of another supernet; choose another folder")
    place = folder / "workspace"
    template = load_or_build(trained, place / "templates")
    store = stack.enter_context(Store.open(place / "measurements.sqlite"))
    session = stack.enter_context(open_session(Registry(place).get("local"), place))
    records, campaign_s = _campaign(session, store, trained, template, options)
    _learning(folder, records, trained, options.seed)
    customizer = Customizer(
        trained, template, cost_model(fit_predictors(records, trained.supernet.subnets)), domain, place / "artifacts",
        seed=options.seed, n_test_images=options.n_images,
    )  # fmt: skip
    if not known.rows:
        content = template.emit(trained.supernet.space.full().pack()).tobytes()
        full = cost_of(measure_model(session, content)[1], len(content))
        known.add({"supernet": trained.digest, **full.to_json()})
    (row,) = known.rows
    full = Cost(number(row["latency_ms"]), number(row["memory_mib"]), number(row["size_mib"]))
    recipe = JointRecipe.from_json(trained.facts["recipe"])
    objective = recipe.domain.kind.objective(domain, recipe.domain.settings)
    baselines = Baselines(folder, recipe, objective, options.until, options.prune_tries, options.workers)
    bench = Bench(folder, options, trained, domain, session, customizer, baselines, full)
    bench.prepared("edgewright", "campaign", campaign_s)
    bench.prepared("edgewright", "supernet", float(trained.facts.get("train_s", 0.0)))
    return bench


def _campaign(
    session: Any, store: Store, trained: TrainedSupernet, template: Template, options: Options
) -> tuple[list[Record], float]:
    """The campaign's records and the seconds that they took; one that was cut off goes on."""
    plan = PlanOptions(options.subnets, seed=options.seed)
    campaign = find_resumable(store, "local", template_sha256(template), plan.fleet)
    profiled = profile_device(
        session, store, "local", trained, template, plan, TimingProtocol(), resume=campaign is not None
    )
    records = store.records(profiled.campaign)
    spent_ms = sum((record.measurement.child_ms or 0.0) + (record.overhead_ms or 0.0) for record in records)
    return records, spent_ms / 1000


def _learning(folder: Path, records: list[Record], trained: TrainedSupernet, seed: int) -> None:
    """Fig. 13, of the campaign on this machine; all of its points or none."""
    if learning_table(folder).rows or len({record.architecture.digest for record in records}) < 2 * MIN_SUBNETS:
        return
    curve = learning_curve(records, trained.supernet.subnets, np.random.default_rng(seed))
    points = pd.DataFrame([vars(point) for point in curve.points], columns=list(LEARNING))
    write_atomic(folder / LEARNING_FILE, points.to_csv(index=False, float_format="%.6g").encode())
