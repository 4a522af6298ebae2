"""Tables 3 and 4: tasks under budgets on this machine, by customising, Retrain and Prune&Tune; what each costs.

All methods answer the same test images; all models are measured by the same agent under the same protocol.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from edgewright.converters.torch_to_tflite import convert
from edgewright.device_agent.timing import TimingProtocol
from torch import nn

from ..assembler.archive import TrainedSupernet
from ..customize.flow import Customizer
from ..customize.preparation import campaign_records, cost_model, fit_to, profile_device
from ..customize.scenario import Scenario
from ..customize.templates import load_or_build
from ..customize.verification import cost_of, measure_model
from ..devices.connect import open_session
from ..devices.registry import Registry
from ..errors import BudgetError
from ..predictors.learning import MIN_SUBNETS, learning_curve
from ..profiling.plan import PlanOptions
from ..profiling.store import Store
from ..search.budget import Budget, Cost
from ..tasks import Task, numvqa
from ..tasks.digits import DigitSplits
from ..training.recipe import Recipe
from ..training.single import Fitted, task_accuracy
from .baselines import Baselines
from .options import Options, Say
from .table import ResultTable

COLUMNS = (
    "task", "share", "method", "held_out", "budget_ms", "budget_mib", "latency_ms", "memory_mib", "size_mib",
    "accuracy", "seconds", "flat", "note",
)  # fmt: skip
PREPARATION = ("method", "what", "seconds")
LEARNING = ("n_train", "mape", "least", "most")


def scenario_table(folder: Path) -> ResultTable:
    return ResultTable(folder / "scenarios.csv", COLUMNS, 3)


def preparation_table(folder: Path) -> ResultTable:
    return ResultTable(folder / "preparation.csv", PREPARATION, 2)


def learning_table(folder: Path) -> ResultTable:
    return ResultTable(folder / "learning.csv", LEARNING, 1)


@dataclass(frozen=True)
class Bench:
    """This machine with everything that the scenarios need, opened once."""

    folder: Path
    options: Options
    trained: TrainedSupernet
    digits: DigitSplits
    session: Any
    customizer: Customizer
    baselines: Baselines
    table: ResultTable
    full: Cost

    def measure(self, model: nn.Module) -> Cost:
        """What a torch model costs here: converted, pushed, measured."""
        content = convert(model.eval(), torch.zeros(1, *self.trained.image_shape))
        return cost_of(measure_model(self.session, content)[1], len(content))

    def latency_ms(self, model: nn.Module) -> float:
        return self.measure(model).latency_ms or float("inf")

    def budget(self, share: float) -> Budget:
        """The share of the full supernet's latency and memory."""
        memory = self.full.memory_mib
        return Budget((self.full.latency_ms or 0.0) * share, None if memory is None else memory * share)

    def accuracy(self, fitted: Fitted, task: Task) -> float:
        return task_accuracy(fitted.model, task, self.digits.test, self.options.n_images, self.options.seed)


def run_scenarios(folder: Path, trained: TrainedSupernet, digits: DigitSplits, options: Options, say: Say) -> None:
    """Every task under every budget by every method; what the folder holds is not done again.

    Raises `MeasurementError` and `DeviceError` where this machine cannot be measured.
    """
    with ExitStack() as stack:
        bench = _open(stack, folder, trained, digits, options)
        work = [(task, share) for share in options.shares for task in options.parsed_tasks]
        for done, (task, share) in enumerate(work):
            for method in (_edgewright, _retrain, _retrain_equal, _prune_tune):
                say(f"{task} at {share:.0%}: {method.__name__.strip('_').replace('_', '-')}", done, len(work))
                method(bench, task, share)
        say("scenarios", len(work), len(work))


def _open(
    stack: ExitStack, folder: Path, trained: TrainedSupernet, digits: DigitSplits, options: Options
) -> Bench:
    place = folder / "workspace"
    template = load_or_build(trained, place / "templates")
    store = stack.enter_context(Store.open(place / "measurements.sqlite"))
    session = stack.enter_context(open_session(Registry(place).get("local"), place))
    records = campaign_records(store, "local", template)
    if not records:
        plan = PlanOptions(options.subnets, seed=options.seed)
        profiled = profile_device(session, store, "local", trained, template, plan, TimingProtocol())
        _prepared(folder, "edgewright", "campaign", profiled.summary.wall_s)
        records = campaign_records(store, "local", template)
    _learning(folder, records, trained, options.seed)
    _prepared(folder, "edgewright", "supernet", float(trained.facts.get("train_s", 0.0)))
    customizer = Customizer(
        trained, template, cost_model(fit_to(records, trained)), digits.test, place / "artifacts",
        seed=options.seed, n_test_images=options.n_images,
    )  # fmt: skip
    content = template.emit(trained.supernet.space.full().pack()).tobytes()
    full = cost_of(measure_model(session, content)[1], len(content))
    recipe = Recipe.from_json(trained.facts["recipe"])
    baselines = Baselines(folder, recipe, digits, options.until, options.prune_tries)
    return Bench(folder, options, trained, digits, session, customizer, baselines, scenario_table(folder), full)


def _edgewright(bench: Bench, task: Task, share: float) -> None:
    if bench.table.has(str(task), share, "edgewright"):
        return
    budget = bench.budget(share)
    scenario, out = Scenario(task, "local", budget), _model_path(bench, task, share)
    try:
        artifact = bench.customizer.customize(scenario, out, bench.session)
    except BudgetError as error:
        return _add(bench, task, share, "edgewright", budget, note=str(error))
    verified = artifact.verification
    _add(bench, task, share, "edgewright", budget, verified.cost, verified.accuracy, artifact.total_s)


def _retrain(bench: Bench, task: Task, share: float) -> None:
    """The full architecture: trained once for a task, the same under every budget."""
    if bench.table.has(str(task), share, "retrain"):
        return
    fitted = bench.baselines.retrain(task)
    budget, cost = bench.budget(share), bench.measure(fitted.model)
    _add(bench, task, share, "retrain", budget, cost, bench.accuracy(fitted, task), fitted.train_s, fitted.flat)


def _retrain_equal(bench: Bench, task: Task, share: float) -> None:
    """The architecture that customising chose, retrained: what training is worth at equal latency."""
    if bench.table.has(str(task), share, "retrain-equal"):
        return
    budget = bench.budget(share)
    _, draft = bench.customizer.draft(task, budget)
    subnet = bench.trained.supernet.extract(draft.candidate.gates)
    fitted = bench.baselines.retrain_like(subnet, task, f"{task} at {share:g}, {draft.candidate.gates.digest}")
    cost = bench.measure(fitted.model)
    _add(bench, task, share, "retrain-equal", budget, cost, bench.accuracy(fitted, task), fitted.train_s, fitted.flat)


def _prune_tune(bench: Bench, task: Task, share: float) -> None:
    if bench.table.has(str(task), share, "prune-tune"):
        return
    unified = bench.baselines.unified()
    _prepared(bench.folder, "prune-tune", "unified model", unified.train_s)
    budget = bench.budget(share)
    started = time.perf_counter()
    model, lost = bench.baselines.pruned_to(unified.model, budget.latency_ms or 0.0, bench.latency_ms)
    prune_s = time.perf_counter() - started
    fitted = bench.baselines.tune(model, task, f"{task} at {share:g}, {lost:.6f}")
    cost, seconds = bench.measure(fitted.model), fitted.train_s + prune_s
    _add(bench, task, share, "prune-tune", budget, cost, bench.accuracy(fitted, task), seconds, fitted.flat)


def _add(
    bench: Bench,
    task: Task,
    share: float,
    method: str,
    budget: Budget,
    cost: Cost | None = None,
    accuracy: float | None = None,
    seconds: float | None = None,
    flat: bool | None = None,
    note: str = "",
) -> None:
    found = cost or Cost()
    bench.table.add(
        {
            "task": str(task), "share": share, "method": method, "held_out": task in numvqa.HELD_OUT,
            "budget_ms": budget.latency_ms, "budget_mib": budget.memory_mib, **found.to_json(),
            "accuracy": accuracy, "seconds": seconds, "flat": flat, "note": note,
        }
    )  # fmt: skip


def _model_path(bench: Bench, task: Task, share: float) -> Path:
    name = "".join(letter if letter.isalnum() else "-" for letter in str(task))
    return bench.folder / "models" / f"edgewright-{name}-{share:g}.tflite"


def _prepared(folder: Path, method: str, what: str, seconds: float) -> None:
    table = preparation_table(folder)
    if not table.has(method, what):
        table.add({"method": method, "what": what, "seconds": seconds})


def _learning(folder: Path, records: list[Any], trained: TrainedSupernet, seed: int) -> None:
    """Fig. 13, of the campaign on this machine."""
    table = learning_table(folder)
    if table.rows or len({record.gates_digest for record in records}) < 2 * MIN_SUBNETS:
        return
    plan = trained.supernet.plan
    for point in learning_curve(records, trained.supernet.space, plan.layers, np.random.default_rng(seed)).points:
        table.add(vars(point))
