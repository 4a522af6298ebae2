"""The charts of a report page as plotly figures. Text of the supernet or the device is escaped: plotly reads tags.

Shapes: `n` measurements, `K` tasks, `L` sites.
"""

from __future__ import annotations

from html import escape

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ..wording import size_text
from .page_data import Drift, Front, GateShares, Learning, PageData, Predictions

BLUE, ORANGE, GREY, INK = "#2a6fb0", "#d9731a", "#8a919c", "#2b3038"
TASK_COLOURS = (BLUE, ORANGE, "#2e8b57", "#8a4fb0", "#b03a4b", "#5b6470")
_ROW_HEIGHT = 17  # of the heat map, in pixels: a task's name stays legible
_AXIS = {
    "automargin": True,
    "gridcolor": "#e8ebef",
    "linecolor": "#c5cad1",
    "showline": True,
    "ticks": "outside",
    "tickcolor": "#c5cad1",
    "zeroline": False,
    "title": {"standoff": 8},
}
TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": "system-ui, -apple-system, Segoe UI, Roboto, Arial, sans-serif", "size": 13, "color": INK},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "margin": {"l": 8, "r": 12, "t": 40, "b": 8},
        "hoverlabel": {"align": "left", "bgcolor": "white"},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.01, "yanchor": "bottom"},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "dragmode": False,  # a finger that scrolls the page does not zoom a chart
    }
)


def figures(data: PageData) -> dict[str, go.Figure]:
    """Every chart that there is data for, by name, in the order of the page."""
    charts: dict[str, go.Figure] = {each.quantity: predicted_against_measured(each) for each in data.predictions}
    if data.drift is not None:
        charts["drift"] = drift(data.drift)
    if data.learning is not None:
        charts["learning"] = learning(data.learning)
    if data.fronts:
        charts["pareto"] = pareto(data.fronts)
    if data.gate_shares is not None:
        charts["gates"] = gate_heat_map(data.gate_shares)
    return charts


def predicted_against_measured(data: Predictions) -> go.Figure:
    """One point per subnet with its interval; a point outside its interval has another colour."""
    figure = blank(440, f"measured {data.quantity}, {data.unit}", f"predicted, {data.unit}")
    ends = [float(min(data.measured.min(), data.low.min())), float(max(data.measured.max(), data.high.max()))]
    line = {"color": GREY, "width": 1, "dash": "dash"}
    figure.add_scatter(x=ends, y=ends, mode="lines", line=line, name="as measured", hoverinfo="skip")
    share = f"{data.confidence:.0%}"
    for inside, name, colour in (
        (True, f"inside its {share} interval", BLUE),
        (False, f"outside its {share} interval", ORANGE),
    ):
        figure.add_trace(_subnets(data, data.inside == inside, name, colour))
    return figure


def _subnets(data: Predictions, rows: np.ndarray, name: str, colour: str) -> go.Scatter:
    where = np.flatnonzero(rows)
    hover = [
        f"measured {data.measured[row]:.4g} {data.unit}<br>predicted {data.predicted[row]:.4g} "
        f"({data.low[row]:.4g} to {data.high[row]:.4g})<br>{data.ratios[row]:.1%} of all modules open<br>"
        f"per site: {escape(data.counts[row])}"
        for row in where
    ]
    return go.Scatter(
        x=data.measured[where],
        y=data.predicted[where],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": (data.high - data.predicted)[where],
            "arrayminus": (data.predicted - data.low)[where],
            "thickness": 0.8,
            "width": 0,
            "color": _faint(colour),
        },
        mode="markers",
        marker={"size": 5, "color": colour},
        name=name,
        hovertext=hover,
        hoverinfo="text",
    )


def drift(data: Drift) -> go.Figure:
    """Residuals in the order of measuring: above as measured, below corrected, on one scale; stretches are shaded."""
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, shared_yaxes="all", vertical_spacing=0.09,
        subplot_titles=("as measured", "after correction"),
    )  # fmt: skip
    for row, residuals in enumerate((data.before, data.after), 1):
        for sentinels in (False, True):
            figure.add_trace(_residuals(data, residuals, sentinels, row == 1), row=row, col=1)
        figure.add_hline(y=0, line={"color": GREY, "width": 1}, row=row, col=1)
    _shade(figure, data)
    figure.update_layout(template=TEMPLATE, height=480, legend_y=1.06)
    figure.update_yaxes(title_text="above predicted, %", range=_residual_range(data))
    figure.update_xaxes(title_text="measurement, in order of time", row=2, col=1)
    figure.update_annotations(font_size=13, x=0, xanchor="left")
    return figure


def _residuals(data: Drift, residuals: np.ndarray, sentinels: bool, legend: bool) -> go.Scatter:
    rows = data.is_sentinel == sentinels
    marker = {"size": 8, "color": ORANGE, "symbol": "diamond"} if sentinels else {"size": 4, "color": BLUE}
    return go.Scatter(
        x=np.flatnonzero(rows),
        y=residuals[rows],
        mode="markers",
        marker=marker,
        name="sentinel" if sentinels else "subnet",
        showlegend=legend,
        hovertemplate="measurement %{x}: %{y:+.1f} %<extra></extra>",
    )


def _shade(figure: go.Figure, data: Drift) -> None:
    """Each stretch in a colour for slower or faster, stronger the further its level is from usual."""
    for stretch in data.stretches:
        strength = min(0.35, 0.06 + 2 * abs(stretch.level - 1))
        colour = ORANGE if stretch.level > 1 else BLUE
        figure.add_vrect(
            x0=stretch.start - 0.5, x1=stretch.stop - 0.5, fillcolor=colour, opacity=strength, line_width=0,
            layer="below", row="all", col=1,
        )  # fmt: skip


def _residual_range(data: Drift) -> list[float]:
    """Wide enough for 99 % of the points: a single hiccup of the device does not flatten all the others."""
    low, high = np.quantile(np.concatenate([data.before, data.after]), [0.005, 0.995])
    room = 0.25 * (high - low) + 0.5
    return [float(min(low, 0) - room), float(max(high, 0) + room)]


def learning(data: Learning) -> go.Figure:
    """Held-out error against the number of profiled subnets, with the noise floor as a line."""
    figure = blank(360, "profiled subnets", "held-out error, % MAPE")
    figure.add_scatter(
        x=data.n_train, y=data.mape, mode="lines+markers", name="held-out error",
        line={"color": BLUE, "width": 2}, marker={"size": 8},
        hovertemplate="%{x} subnets: %{y:.2f} %<extra></extra>",
    )  # fmt: skip
    if data.noise_floor is not None:
        figure.add_scatter(
            x=[int(data.n_train.min()), int(data.n_train.max())], y=[data.noise_floor] * 2, mode="lines",
            name="noise floor", line={"color": ORANGE, "width": 1.5, "dash": "dash"},
            hovertemplate="noise floor: %{y:.2f} %<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(type="log", tickvals=data.n_train.tolist(), ticktext=[str(n) for n in data.n_train.tolist()])
    figure.update_yaxes(rangemode="tozero")
    return figure


def pareto(fronts: tuple[Front, ...]) -> go.Figure:
    """Score against predicted latency and, below, memory and file size; one colour a task."""
    panels = [
        ("latency_ms", "predicted latency, ms"),
        ("memory_mib", "predicted memory, MiB"),
        ("size_mib", "file, MiB"),
    ]
    known = [(name, title) for name, title in panels if all(getattr(front, name) is not None for front in fronts)]
    figure = make_subplots(rows=len(known), cols=1, vertical_spacing=0.13)
    for number, front in enumerate(fronts):
        for row, (name, title) in enumerate(known, 1):
            figure.add_trace(_front(front, name, TASK_COLOURS[number % len(TASK_COLOURS)], row == 1), row=row, col=1)
            figure.update_xaxes(title_text=title, row=row, col=1)
            figure.update_yaxes(title_text="score", row=row, col=1)
    figure.update_layout(template=TEMPLATE, height=60 + 260 * len(known))
    return figure


def _front(front: Front, name: str, colour: str, legend: bool) -> go.Scatter:
    memory = [None] * len(front.limit) if front.memory_mib is None else front.memory_mib.tolist()
    hover = [
        f"{escape(front.task)}, limit {limit:.0%}<br>{latency:.4g} ms"
        + ("" if mib is None else f", {size_text(mib)}")
        + f"<br>file {size_text(size)}<br>score {score:.3f}"
        for limit, latency, mib, size, score in zip(
            front.limit, front.latency_ms, memory, front.size_mib, front.score, strict=True
        )
    ]
    return go.Scatter(
        x=getattr(front, name), y=front.score, mode="markers", name=escape(front.task), showlegend=legend,
        legendgroup=front.task, marker={"size": 5, "color": colour},
        hovertext=hover, hoverinfo="text",
    )  # fmt: skip


def gate_heat_map(data: GateShares) -> go.Figure:
    """Sites across, tasks down, the share of open modules as colour."""
    figure = go.Figure(
        go.Heatmap(
            z=100 * data.shares,  # (K, L)
            x=[escape(site) for site in data.sites],
            y=[escape(task) for task in data.tasks],
            colorscale="Blues",
            zmin=0,
            zmax=float(max(100 * data.shares.max(), 1.0)),
            xgap=1,
            ygap=1,
            colorbar={"title": {"text": "open, %"}, "thickness": 12, "outlinewidth": 0, "len": 260, "lenmode": "pixels",
                      "y": 1, "yanchor": "top"},
            hovertemplate="%{y}<br>%{x}: %{z:.0f} % open<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(template=TEMPLATE, height=110 + _ROW_HEIGHT * len(data.tasks), margin_t=12)
    figure.update_yaxes(autorange="reversed", type="category", dtick=1, tickfont_size=11, showline=False, ticks="")
    figure.update_xaxes(type="category", tickangle=-45, tickfont_size=11, showline=False, ticks="")
    return figure


def blank(height: int, x: str, y: str) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(template=TEMPLATE, height=height, xaxis_title_text=x, yaxis_title_text=y)
    return figure


def _faint(colour: str) -> str:
    """The same colour, mostly transparent."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.4)"
