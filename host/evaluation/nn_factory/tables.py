"""An evaluation's tables, with the paper's figures beside ours, as rows for the page and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ...tasks.domain import TaskDomain
from ..result_table import ResultTable
from . import paper
from .accuracy import accuracy_table
from .bench import preparation_table
from .claims import break_even, claims, seconds_by_method
from .figures import METHODS
from .options import LIMITS, Options
from .scenarios import scenario_table

Cell = str | float | None


@dataclass(frozen=True)
class ShownTable:
    """`name` is its anchor; `note` is shown between title and rows, or alone if there are no rows."""

    name: str
    title: str
    header: tuple[str, ...] = ()
    rows: tuple[Sequence[Cell], ...] = ()
    note: str = ""


def shown_tables(folder: Path, domain: TaskDomain) -> tuple[ShownTable, ...]:
    """The tables to show, from the folder's results so far."""
    accuracy, scenarios = frame(accuracy_table(folder)), frame(scenario_table(folder))
    preparation = frame(preparation_table(folder))
    return (
        _claims(accuracy, scenarios, preparation, domain),
        _table_2(accuracy, domain),
        _table_3(scenarios, domain),
        _table_4(scenarios, preparation),
    )


def protocol(domain: TaskDomain, options: Options) -> str:
    return (
        f"Supernets: {', '.join(options.supernets)}. Scores are {domain.score_name.title} on up to {options.n_images} "
        f"test images a task, of objects that no training image holds ({domain.data}), image seed {options.seed}; one "
        f"training seed each. Latency and memory are measured on this machine by the agent, three processes a model; "
        f"baselines are trained until the loss on validation images "
        f"has not fallen for {options.until.patience} evaluations of {options.until.n_images} images at each of "
        f"{options.until.drops + 1} learning rates, {options.workers} side by side."
    )


def frame(rows: ResultTable) -> pd.DataFrame:
    """A table with numbers as numbers and yes/no as booleans."""
    table = pd.DataFrame(rows.rows, columns=list(rows.columns))
    for name in table.columns:
        if set(table[name]) <= {"True", "False"} and len(table):
            table[name] = table[name] == "True"
        elif name not in ("task", "other", "method", "supernet", "note", "what", "flat"):
            table[name] = pd.to_numeric(table[name].replace("", None))
    return table


def _claims(
    accuracy: pd.DataFrame, scenarios: pd.DataFrame, preparation: pd.DataFrame, domain: TaskDomain
) -> ShownTable:
    title = "What the paper claims"
    if not len(accuracy):
        return ShownTable("claims", title, note="Nothing is measured yet.")
    answers = claims(accuracy, scenarios, preparation, domain)
    rows = tuple((claim.claim, claim.found, claim.verdict) for claim in answers)
    return ShownTable("claims", title, ("the paper's claim", "found here", "verdict"), rows)


def _table_2(accuracy: pd.DataFrame, domain: TaskDomain) -> ShownTable:
    names = list(dict.fromkeys(accuracy["supernet"]))
    rows: list[Sequence[Cell]] = []
    title = f"Table 2: {domain.score_name.title} and actual ratio"
    if not paper.table_2_covers(domain):
        header: tuple[str, ...] = ("task", "limit", *names)
        means = (_mean_row(accuracy, names, limit, held) for limit in LIMITS for held in (False, True))
        return ShownTable("table2", title, header, tuple([*row[:2], *row[4:]] for row in means))
    for task, limit, resnet, resnet_ratio, vit, vit_ratio in paper.TABLE_2:
        ours = [_reached(accuracy, name, task, limit / 100) for name in names]
        rows.append([task, f"{limit} %", f"{resnet} % / {resnet_ratio} %", f"{vit} % / {vit_ratio} %", *ours])
    limits = (0.03, 0.05, 0.1, 0.2, 1.0)
    rows += [_mean_row(accuracy, names, limit, held) for limit in limits for held in (False, True)]
    header = ("task", "limit", "paper, ResNet", "paper, ViT", *names)
    return ShownTable("table2", title, header, tuple(rows))


def _reached(accuracy: pd.DataFrame, name: str, task: str, limit: float) -> str:
    rows = accuracy[(accuracy["supernet"] == name) & (accuracy["task"] == task) & (accuracy["limit"] == limit)]
    return "" if rows.empty else f"{rows['accuracy'].iloc[0]:.1%} / {rows['ratio'].iloc[0]:.1%}"


def _mean_row(accuracy: pd.DataFrame, names: Sequence[str], limit: float, held_out: bool) -> list[str]:
    said = []
    for name in names:
        rows = accuracy[(accuracy["supernet"] == name) & (accuracy["limit"] == limit)]
        rows = rows[rows["held_out"] == held_out]["accuracy"]
        said.append("" if rows.empty else f"{rows.mean():.1%} (lowest {rows.min():.1%})")
    return [f"mean of {'unseen' if held_out else 'trained'} tasks", f"{limit:.0%}", "", "", *said]


def _table_3(scenarios: pd.DataFrame, domain: TaskDomain) -> ShownTable:
    title = "Table 3: scenarios on this machine"
    if not len(scenarios):
        return ShownTable("table3", title, note="No scenario is finished yet.")
    rows: list[Sequence[Cell]] = []
    methods = [method for method in METHODS if method in set(scenarios["method"])]
    for (task, share), part in scenarios.groupby(["task", "share"], sort=False):
        first = part.iloc[0]
        bounds = [float(first["budget_ms"]), float(first["budget_mib"])]
        differences = [_differences(part[part["method"] == method]) for method in methods]
        known = domain.count(domain.space.parse(str(task)))
        notes = ["never trained"] * bool(first["held_out"]) + ([] if known is None else [f"{known:,} objects"])
        said = f"{task} ({'; '.join(notes)})" if notes else str(task)
        rows.append([said, f"{share:.0%} of full", *bounds, *differences])
    shown = [f"{METHODS[method]}: ms / MiB / {domain.score_name.title}" for method in methods]
    header = ("task", "budget", "ms", "MiB", *shown)
    return ShownTable("table3", title, header, tuple(rows), "Differences to the budget; below zero is within.")


def _differences(rows: pd.DataFrame) -> str:
    if rows.empty or pd.isna(rows["latency_ms"].iloc[0]):
        return "" if rows.empty else str(rows["note"].iloc[0])
    row = rows.iloc[0]
    return (
        f"{row['latency_ms'] - row['budget_ms']:+.3f} / {row['memory_mib'] - row['budget_mib']:+.2f} / "
        f"{row['accuracy']:.1%}"
    )


def _table_4(scenarios: pd.DataFrame, preparation: pd.DataFrame) -> ShownTable:
    once = preparation.groupby("method")["seconds"].sum()
    seconds = seconds_by_method(scenarios) if len(scenarios) else {}
    even = break_even(scenarios, preparation) if len(scenarios) else {}
    rows: list[Sequence[Cell]] = []
    for method, title in METHODS.items():
        if len(scenarios) and method not in set(scenarios["method"]):
            continue
        hours, each = paper.PREPARATION_H.get(method), paper.CUSTOMISATION_S.get(method)
        rows.append(
            [title, float(once.get(method, 0.0)), seconds.get(method), None if hours is None else 3600 * hours, each,
             even.get(method)]
        )  # fmt: skip
    header = ("method", "once, s", "a scenario, s", "paper: once, s", "paper: a scenario, s", "break-even scenarios")
    note = "Seconds until there is a model; measuring it on the device takes about a second more with every method."
    return ShownTable("table4", "Table 4: what it costs", header, tuple(rows), note)
