"""An evaluation as one page: the paper's claims with their verdicts, its tables and figures with our numbers."""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go

from ...report.document import document
from ...tasks.domain import TaskDomain
from . import figures
from .accuracy import accuracy_table, similarities
from .bench import learning_table
from .options import Options
from .scenarios import scenario_table
from .tables import frame, protocol, shown_tables

_TEMPLATE = Path(__file__).parent / "templates" / "evaluation.html"
_TITLES = {
    "limits": "Accuracy by activation limit, trained and unseen tasks (Figs. 9 and 14)",
    "ratio": "Open modules against the limit (Fig. 11)",
    "budget": "Quality against measured latency (Fig. 10)",
    "training": "Accuracy while the supernet was trained (Fig. 12)",
    "predictor": "Accuracy of the latency predictor (Fig. 13)",
    "jaccard": "Gates two tasks share at a limit of 10 %: Jaccard (Fig. 15)",
    "cosine": "Gates two tasks share at a limit of 10 %: cosine (Fig. 15)",
}


def render(folder: Path, domain: TaskDomain, options: Options) -> bytes:
    """The page of the results that the folder's tables hold so far."""
    values = {
        "protocol": protocol(domain, options),
        "tables": shown_tables(folder, domain),
        "titles": _TITLES,
    }
    return document(_TEMPLATE, "Evaluation - Edgewright", _charts(folder, options), values)


def _charts(folder: Path, options: Options) -> dict[str, go.Figure]:
    accuracy, scenarios = frame(accuracy_table(folder)), frame(scenario_table(folder))
    learning, alike = frame(learning_table(folder)), similarities(folder)
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
