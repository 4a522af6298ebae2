"""The paper's figures, from an evaluation's tables."""

from __future__ import annotations

from html import escape
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from ...report.figures import TASK_COLOURS, TEMPLATE, blank

METHODS = {
    "edgewright": "customised, no training",
    "retrain": "Retrain, full architecture",
    "retrain-equal": "Retrain at equal latency",
    "prune-tune": "Prune&Tune",
}


def accuracy_by_limit(table: pd.DataFrame) -> go.Figure:
    """Figs. 9 and 14: mean over tasks, trained and held-out ones apart, per supernet."""
    figure = blank(400, "activation limit, %", "accuracy, %")
    for index, (name, part) in enumerate(table.groupby("supernet", sort=False)):
        for held_out, dash in ((False, "solid"), (True, "dot")):
            rows = part[part["held_out"] == held_out].groupby("limit")["accuracy"].mean()
            said = "unseen" if held_out else "trained"
            figure.add_scatter(
                x=100 * rows.index, y=100 * rows, mode="lines+markers", name=f"{escape(str(name))}, {said} tasks",
                line={"dash": dash, "color": TASK_COLOURS[index % len(TASK_COLOURS)]},
            )  # fmt: skip
    return figure


def ratio_by_limit(table: pd.DataFrame) -> go.Figure:
    """Fig. 11: the share of open modules against the limit."""
    figure = blank(400, "activation limit, %", "open modules, %")
    figure.add_scatter(x=[0, 100], y=[0, 100], mode="lines", name="limit", line={"color": "#8a919c", "dash": "dash"})
    for index, (name, part) in enumerate(table.groupby("supernet", sort=False)):
        rows = 100 * part.groupby("limit")["ratio"].agg(["mean", "min", "max"])
        figure.add_scatter(
            x=100 * rows.index, y=rows["mean"], mode="lines+markers", name=escape(str(name)),
            error_y={"type": "data", "array": rows["max"] - rows["mean"], "arrayminus": rows["mean"] - rows["min"]},
            line={"color": TASK_COLOURS[index % len(TASK_COLOURS)]},
        )  # fmt: skip
    return figure


def quality_by_budget(table: pd.DataFrame) -> go.Figure:
    """Fig. 10: accuracy against measured latency, all tasks and budgets."""
    figure = blank(420, "measured latency, ms", "accuracy, %")
    for index, (method, title) in enumerate(METHODS.items()):
        part = table[table["method"] == method]
        figure.add_scatter(
            x=part["latency_ms"], y=100 * part["accuracy"], mode="markers", name=title,
            marker={"color": TASK_COLOURS[index], "size": 8}, hovertext=part["task"].map(escape), hoverinfo="text+x+y",
        )  # fmt: skip
    return figure


def accuracy_by_step(folders: dict[str, Path]) -> go.Figure | None:
    """Fig. 12: accuracy on validation digits during training; None if there are no metrics beside a supernet."""
    figure = blank(380, "step of joint training", "accuracy, %")
    for index, (name, folder) in enumerate(folders.items()):
        if not (folder / "metrics.csv").exists():
            continue
        metrics = pd.read_csv(folder / "metrics.csv")
        rows = metrics[metrics["stage"] == "joint"].dropna(subset=["validation_accuracy"])
        colour = TASK_COLOURS[index % len(TASK_COLOURS)]
        figure.add_scatter(
            x=rows["step"], y=100 * rows["validation_accuracy"], mode="lines+markers", name=escape(name),
            line={"color": colour},
        )  # fmt: skip
    return figure if figure.data else None


def predictor_learning(table: pd.DataFrame) -> go.Figure:
    """Fig. 13: accuracy of the latency predictor against the number of profiled subnets."""
    figure = blank(360, "profiled subnets", "accuracy of predictions, %")
    figure.add_scatter(
        x=table["n_train"], y=100 - table["mape"], mode="lines+markers", name="mean of five draws",
        error_y={"type": "data", "array": table["mape"] - table["least"], "arrayminus": table["most"] - table["mape"]},
    )  # fmt: skip
    return figure


def similarity(table: pd.DataFrame, measure: str) -> go.Figure:
    """Fig. 15: how alike the gates of two tasks are, of the first supernet."""
    part = table[table["supernet"] == table["supernet"].iloc[0]]
    matrix = part.pivot(index="task", columns="other", values=measure)
    order = list(dict.fromkeys(part["task"]))
    names = [escape(name) for name in order]
    figure = go.Figure(
        go.Heatmap(z=matrix.loc[order, order], x=names, y=names, colorscale="Blues", zmin=0, zmax=1, hoverongaps=False)
    )
    figure.update_layout(template=TEMPLATE, height=860)
    figure.update_yaxes(autorange="reversed")
    return figure
