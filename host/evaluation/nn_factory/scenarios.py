"""Tables 3 and 4: tasks under budgets on this machine, by customising, Retrain and Prune&Tune; what each costs.

All methods answer the same test images. The same agent measures all models under the same protocol, and never while
anything is being trained: the models for a budget are first pruned, then trained side by side, then measured.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ...assembler.archive import TrainedSupernet
from ...costs import Cost
from ...customize.scenario import Scenario
from ...errors import BudgetError
from ...tasks import Task
from ...tasks.domain import TaskDomain
from ..result_table import ResultTable, number
from .baselines import Cut, Job
from .bench import Bench, open_bench
from .options import Options, Say

COLUMNS = (
    "task", "share", "method", "held_out", "budget_ms", "budget_mib", "latency_ms", "memory_mib", "size_mib",
    "accuracy", "seconds", "flat", "note",
)  # fmt: skip
CUTS = ("share", "lost", "seconds")

Key = tuple[str, float, str]
Tell = Callable[[str], None]


def scenario_table(folder: Path) -> ResultTable:
    return ResultTable(folder / "scenarios.csv", COLUMNS, 3)


def cut_table(folder: Path) -> ResultTable:
    """How much of the unified model's channels each budget costs, found on this machine."""
    return ResultTable(folder / "cuts.csv", CUTS, 1)


def run_scenarios(folder: Path, trained: TrainedSupernet, domain: TaskDomain, options: Options, say: Say) -> None:
    """Every task under every budget by every method; what the folder holds is not done again.

    Raises `InputError` for a folder with another supernet's scenarios, `MeasurementError` and `DeviceError` where this
    machine cannot be measured.
    """
    say("profiling this machine", 0, len(options.shares))
    with open_bench(folder, trained, domain, options) as bench:
        table = scenario_table(folder)
        for done, share in enumerate(options.shares):
            _run_budget(bench, table, share, partial(_tell, say, done, len(options.shares)))
        say("scenarios", len(options.shares), len(options.shares))


def _tell(say: Say, done: int, total: int, what: str) -> None:
    say(what, done, total)


def _run_budget(bench: Bench, table: ResultTable, share: float, tell: Tell) -> None:
    """One budget: what customising delivers, then all that is to be trained for it, then its measurements."""

    def missing(method: str) -> list[Task]:
        if method not in bench.options.methods:
            return []
        return [task for task in bench.tasks if not table.has(str(task), share, method)]

    for task in missing("edgewright"):
        tell(f"{task} at {share:.0%}: customising")
        _add_generated(bench, table, task, share)
    to_prune = missing("prune-tune")
    full = {("retrain", task): bench.baselines.retrain(task) for task in missing("retrain")}
    bench.baselines.train([*full.values(), *([bench.baselines.unified()] if to_prune else [])], tell)
    cut = _cut(bench, share, tell) if to_prune else None
    small = {("retrain-equal", task): _equal_job(bench, task, share) for task in missing("retrain-equal")}
    small |= {("prune-tune", task): None if cut is None else bench.baselines.tune(cut, task) for task in to_prune}
    bench.baselines.train([job for job in small.values() if job is not None], tell)
    for (method, task), job in {**full, **small}.items():
        tell(f"{task} at {share:.0%}: measuring {method}")
        _add_trained(bench, table, (str(task), share, method), job, cut)


def _equal_job(bench: Bench, task: Task, share: float) -> Job | None:
    """The architecture that customising delivered, to be trained: what training is worth at equal latency."""
    gates = bench.generated_gates(task, share)
    if gates is None:
        return None
    return bench.baselines.retrain_like(bench.trained.supernet.extract(gates), task, gates.digest)


def _cut(bench: Bench, share: float, tell: Tell) -> Cut | None:
    """The unified model pruned to a budget, for all tasks; None where no pruned model is within."""
    unified = bench.baselines.fitted(bench.baselines.unified())
    bench.prepared("prune-tune", "unified model", unified.train_s)
    known = cut_table(bench.folder)
    if not known.has(share):
        tell(f"pruning to {share:.0%}")
        lost, seconds = bench.baselines.find_cut(unified.model, bench.budget(share), bench.measure)
        known.add({"share": share, "lost": lost, "seconds": seconds})
    row = next(row for row in known.rows if number(row["share"]) == share)
    lost = number(row["lost"])
    return None if lost is None else bench.baselines.cut(unified.model, lost, number(row["seconds"]) or 0.0)


def _add_generated(bench: Bench, table: ResultTable, task: Task, share: float) -> None:
    key = (str(task), share, "edgewright")
    scenario, out = Scenario(task, "local", bench.budget(share)), bench.generated_path(task, share)
    try:
        artifact = bench.customizer.customize(scenario, out, bench.pair.device.session)
    except BudgetError as error:
        return _add(bench, table, key, note=str(error))
    # As the baselines' seconds: until there is a model. With several tries the device's verdicts are a part of that.
    seconds = artifact.customize_s if artifact.tries == 1 else artifact.total_s
    _add(bench, table, key, artifact.measured, artifact.scores.on_device, seconds)


def _add_trained(bench: Bench, table: ResultTable, key: Key, job: Job | None, cut: Cut | None) -> None:
    if job is None or job.task is None:
        return _add(bench, table, key, note="there is no architecture within this budget")
    fitted = bench.baselines.fitted(job)
    seconds = fitted.train_s + (cut.seconds if cut is not None and key[2] == "prune-tune" else 0.0)
    model = bench.for_task(fitted.model, job.task)
    _add(bench, table, key, bench.measure(model), bench.accuracy(model, job.task), seconds, fitted.flat)


def _add(
    bench: Bench,
    table: ResultTable,
    key: Key,
    cost: Cost | None = None,
    accuracy: float | None = None,
    seconds: float | None = None,
    flat: bool | None = None,
    note: str = "",
) -> None:
    task, share, method = key
    budget = bench.budget(share)
    held_out, found = task in {str(each) for each in bench.domain.held_out}, cost or Cost()
    table.add(
        {
            "task": task, "share": share, "method": method, "held_out": held_out, "budget_ms": budget.latency_ms,
            "budget_mib": budget.memory_mib, **found.to_json(), "accuracy": accuracy, "seconds": seconds,
            "flat": flat, "note": note,
        }
    )  # fmt: skip
