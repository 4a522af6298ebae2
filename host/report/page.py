"""The report page of one device: what it is, how its campaign went, and what its measurements say."""

from __future__ import annotations

from html import escape

import plotly.graph_objects as go

from . import captions
from .document import chart_place, document, section, table
from .figures import figures
from .page_data import PageData, Rows, Verified

_TITLES = {
    "latency": "Predicted against measured: latency",
    "memory": "Predicted against measured: memory",
    "drift": "The device over time",
    "learning": "How many subnets are enough",
    "pareto": "What a budget buys",
    "gates": "Which modules a task opens",
}


def render(data: PageData) -> bytes:
    """The page, UTF-8."""
    charts = figures(data)
    return document(f"{data.device} - Edgewright", _sections(data, charts), charts)


def title_of(chart: str) -> str:
    return _TITLES[chart]


def _sections(data: PageData, charts: dict[str, go.Figure]) -> list[str]:
    said = _captions(data)
    parts = [
        f"<h1>{escape(data.device)}</h1>",
        f'<p class="made">Edgewright report, made {escape(data.made_at)}</p>',
        _verdict(data),
        "<noscript><p>The charts need JavaScript, which is in this file; texts and tables do not.</p></noscript>",
        '<div class="facts">',
        *(_facts(*known) for known in (("Device", data.facts), ("Campaign", data.campaign), ("Timing", data.protocol))),
        "</div>",
    ]
    for name, title in _TITLES.items():
        if name in charts:
            parts.append(section(name, title, f"<p>{escape(said[name])}</p>\n{chart_place(name)}"))
        elif name in data.gaps:
            parts.append(section(name, title, _gap(data, name)))
    return [*parts, section("verified", "Verified on the device", _verified(data))]


def _captions(data: PageData) -> dict[str, str]:
    said: dict[str, str] = {found.quantity: captions.predictions(found) for found in data.predictions}
    if data.drift is not None:
        said["drift"] = captions.drift(data.drift)
    if data.learning is not None:
        said["learning"] = captions.learning(data.learning)
    if data.fronts:
        said["pareto"] = captions.pareto(data.fronts)
    if data.gate_shares is not None:
        said["gates"] = captions.gate_shares(data.gate_shares)
    return said


def _gap(data: PageData, name: str) -> str:
    return f'<p class="gap">Not shown: {escape(data.gaps[name])}</p>'


def _verdict(data: PageData) -> str:
    verdict = data.verdict
    kind = "unknown" if verdict.disturbances is None else "disturbed" if verdict.disturbances else "clean"
    sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in verdict.sentences)
    return f'<div class="verdict {kind}"><p><strong>Campaign: {escape(verdict.word)}</strong></p>{sentences}</div>'


def _facts(title: str, rows: Rows) -> str:
    lines = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<div><h2>{escape(title)}</h2><table>{lines}</table></div>"


def _verified(data: PageData) -> str:
    if not data.verified:
        return '<p class="gap">No model has been verified yet.</p>'
    header = ("when", "task", "cost", "predicted", "upper end", "measured", "budget", "fits")
    rows = table(header, [_verified_row(row) for row in data.verified])
    return f"<p>{escape(captions.verified(data.verified))}</p>\n{rows}"


def _verified_row(row: Verified) -> list[str | float | None]:
    fits = {True: "yes", False: "no", None: ""}[row.fits]
    numbers = [row.predicted, row.upper, row.measured, row.budget]
    return [row.when, row.task, f"{row.quantity}, {row.unit}", *numbers, fits]
