"""An evaluation as one page: the paper's claims with their verdicts, its tables and figures in our numbers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from ..report.document import chart_place, document, section, table
from . import figures, paper
from .accuracy import accuracy_table, similarities
from .bench import learning_table, preparation_table
from .claims import break_even, claims, seconds_by_method
from .figures import METHODS
from .options import Options
from .scenarios import scenario_table
from .table import ResultTable

_TITLES = {
    "limits": "Accuracy by activation limit, trained and unseen tasks (Figs. 9 and 14)",
    "ratio": "Open modules against the limit (Fig. 11)",
    "budget": "Quality against measured latency (Fig. 10)",
    "training": "Accuracy while the supernet was trained (Fig. 12)",
    "predictor": "Accuracy of the latency predictor (Fig. 13)",
    "jaccard": "Gates two tasks share at a limit of 10 %: Jaccard (Fig. 15)",
    "cosine": "Gates two tasks share at a limit of 10 %: cosine (Fig. 15)",
}


def render(folder: Path, options: Options) -> bytes:
    """The page of whatever the folder's tables hold by now."""
    accuracy, scenarios = frame(accuracy_table(folder)), frame(scenario_table(folder))
    preparation, learning = frame(preparation_table(folder)), frame(learning_table(folder))
    charts = _charts(accuracy, scenarios, learning, similarities(folder), options)
    body = [
        "<h1>NN-Factory's experiments on this machine</h1>",
        f"<p>{escape(_protocol(options))}</p>",
        section("claims", "What the paper claims", _claims(accuracy, scenarios, preparation)),
        section("table2", "Table 2: accuracy and actual ratio", _table_2(accuracy)),
        section("table3", "Table 3: scenarios on this machine", _table_3(scenarios)),
        section("table4", "Table 4: what it costs", _table_4(scenarios, preparation)),
        *(section(name, _TITLES[name], chart_place(name)) for name in charts),
    ]
    return document("Evaluation - Edgewright", body, charts)


def frame(rows: ResultTable) -> pd.DataFrame:
    """A table with numbers as numbers and yes/no as booleans."""
    found = pd.DataFrame(rows.rows, columns=list(rows.columns))
    for name in found.columns:
        if set(found[name]) <= {"True", "False"} and len(found):
            found[name] = found[name] == "True"
        elif name not in ("task", "other", "method", "supernet", "note", "what", "flat"):
            found[name] = pd.to_numeric(found[name].replace("", None))
    return found


def _charts(
    accuracy: pd.DataFrame, scenarios: pd.DataFrame, learning: pd.DataFrame, alike: pd.DataFrame, options: Options
) -> dict[str, go.Figure]:
    charts: dict[str, go.Figure] = {}
    if len(accuracy):
        charts["limits"] = figures.accuracy_by_limit(accuracy)
        charts["ratio"] = figures.ratio_by_limit(accuracy)
    if len(scenarios):
        charts["budget"] = figures.quality_by_budget(scenarios)
    training = figures.accuracy_by_step(options.supernets)
    if training is not None:
        charts["training"] = training
    if len(learning):
        charts["predictor"] = figures.predictor_learning(learning)
    if len(alike):
        charts |= {measure: figures.similarity(alike, measure) for measure in ("jaccard", "cosine")}
    return charts


def _protocol(options: Options) -> str:
    return (
        f"Supernets: {', '.join(options.supernets)}. {options.n_images} test images a task, of digits that no training "
        f"image holds, image seed {options.seed}; one training seed each. Latency and memory are measured on this "
        f"machine by the agent, three processes a model; baselines are trained until their validation accuracy has not "
        f"risen for {options.until.patience} evaluations of {options.until.n_images} images at each of "
        f"{options.until.drops + 1} learning rates, {options.workers} side by side."
    )


def _claims(accuracy: pd.DataFrame, scenarios: pd.DataFrame, preparation: pd.DataFrame) -> str:
    if not len(accuracy):
        return "<p>Nothing is measured yet.</p>"
    found = claims(accuracy, scenarios, preparation)
    return table(("the paper's claim", "found here", "verdict"), [(c.claim, c.found, c.verdict) for c in found])


def _table_2(accuracy: pd.DataFrame) -> str:
    names = list(dict.fromkeys(accuracy["supernet"]))
    header = ["task", "limit", "paper, ResNet", "paper, ViT", *names]
    rows = []
    for task, limit, resnet, resnet_ratio, vit, vit_ratio in paper.TABLE_2:
        ours = [_reached(accuracy, name, task, limit / 100) for name in names]
        rows.append([task, f"{limit} %", f"{resnet} % / {resnet_ratio} %", f"{vit} % / {vit_ratio} %", *ours])
    rows += [_mean_row(accuracy, names, limit, held) for limit in (0.05, 0.2, 1.0) for held in (False, True)]
    return table(header, rows)


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


def _table_3(scenarios: pd.DataFrame) -> str:
    if not len(scenarios):
        return "<p>No scenario is finished yet.</p>"
    header = ["task", "budget", "ms", "MiB", *(f"{title}: ms / MiB / accuracy" for title in METHODS.values())]
    rows: list[list[str | float | None]] = []
    for (task, share), part in scenarios.groupby(["task", "share"], sort=False):
        first = part.iloc[0]
        bounds = [float(first["budget_ms"]), float(first["budget_mib"])]
        found = [_differences(part[part["method"] == method]) for method in METHODS]
        rows.append([str(task), f"{share:.0%} of full", *bounds, *found])
    return "<p>Differences to the budget; below zero is within.</p>" + table(header, rows)


def _differences(rows: pd.DataFrame) -> str:
    if rows.empty or pd.isna(rows["latency_ms"].iloc[0]):
        return "" if rows.empty else str(rows["note"].iloc[0])
    row = rows.iloc[0]
    return (
        f"{row['latency_ms'] - row['budget_ms']:+.3f} / {row['memory_mib'] - row['budget_mib']:+.2f} / "
        f"{row['accuracy']:.1%}"
    )


def _table_4(scenarios: pd.DataFrame, preparation: pd.DataFrame) -> str:
    once = preparation.groupby("method")["seconds"].sum()
    seconds = seconds_by_method(scenarios) if len(scenarios) else {}
    even = break_even(scenarios, preparation) if len(scenarios) else {}
    rows: list[list[str | float | None]] = []
    for method, title in METHODS.items():
        hours, each = paper.PREPARATION_H.get(method), paper.CUSTOMISATION_S.get(method)
        rows.append(
            [title, float(once.get(method, 0.0)), seconds.get(method), None if hours is None else 3600 * hours, each,
             even.get(method)]
        )  # fmt: skip
    header = ("method", "once, s", "a scenario, s", "paper: once, s", "paper: a scenario, s", "break-even scenarios")
    return table(header, rows)
