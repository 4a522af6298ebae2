"""One HTML file that holds everything: text, tables, charts and the library that draws them. It asks no network.

What a device or a supernet says is text, never markup: all of it passes through `escape`, and the page's own policy
names the hashes of the two scripts that may run, so that nothing else could.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from . import captions
from .figures import figures
from .page_data import PageData, Rows, Verified

_STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 920px; padding: 0 16px 48px; background: #fff; color: #2b3038;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
h1 { font-size: 1.6rem; margin: 1.2em 0 0.2em; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2em 0 0.4em; }
p { margin: 0.4em 0; overflow-wrap: anywhere; }
.made, .gap { color: #5b6470; }
.verdict { border-left: 4px solid #2e8b57; padding: 2px 12px; margin: 1em 0; }
.verdict.disturbed { border-color: #d9731a; }
.verdict.unknown { border-color: #8a919c; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(270px, 100%), 1fr)); gap: 0 28px; }
.facts h2 { margin-top: 1.2em; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.88rem; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 3px 10px 3px 0; border-bottom: 1px solid #e8ebef; }
.facts th { font-weight: normal; color: #5b6470; white-space: nowrap; }
.facts td { overflow-wrap: anywhere; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.chart { width: 100%; }
"""
_DRAW = """
const charts = JSON.parse(document.getElementById("charts").textContent);
for (const [name, chart] of Object.entries(charts)) {
  Plotly.newPlot("chart-" + name, chart.data, chart.layout,
    {responsive: true, displayModeBar: false});
}
"""
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
    library = get_plotlyjs()
    head = (
        '<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_policy(library, _DRAW))}">\n'
        f"<title>{escape(data.device)} - Edgewright</title>\n<style>{_STYLE}</style>"
    )
    scripts = (
        f'<script type="application/json" id="charts">{_script_safe(_charts_json(charts))}</script>\n'
        f"<script>{library}</script>\n<script>{_DRAW}</script>"
    )
    body = "\n".join(_sections(data, charts))
    page = f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n{scripts}\n</body>\n</html>\n'
    return page.encode("utf-8", "replace")  # a lone surrogate from a device is no reason to lose the page


def title_of(chart: str) -> str:
    return _TITLES[chart]


def _policy(*scripts: str) -> str:
    """Nothing is loaded from anywhere, and no script runs but these."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"


def _charts_json(charts: dict[str, go.Figure]) -> str:
    return json.dumps({name: json.loads(figure.to_json()) for name, figure in charts.items()}, allow_nan=False)


def _script_safe(text: str) -> str:
    """JSON that cannot end the script element it stands in: in JSON these letters occur in strings only."""
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


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
            chart = f'<div class="chart" id="chart-{name}"></div>'
            parts.append(_section(name, title, f"<p>{escape(said[name])}</p>\n{chart}"))
        elif name in data.gaps:
            parts.append(_section(name, title, _gap(data, name)))
    return [*parts, _section("verified", "Verified on the device", _verified(data))]


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


def _section(name: str, title: str, content: str) -> str:
    return f'<section id="{name}">\n<h2>{escape(title)}</h2>\n{content}\n</section>'


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
    cells = "".join(f"<th>{escape(name)}</th>" for name in header)
    lines = "".join(_verified_line(row) for row in data.verified)
    table = f'<div class="scroll"><table><tr>{cells}</tr>{lines}</table></div>'
    return f"<p>{escape(captions.verified(data.verified))}</p>\n{table}"


def _verified_line(row: Verified) -> str:
    texts = [row.when, row.task, f"{row.quantity}, {row.unit}"]
    numbers = [row.predicted, row.upper, row.measured, row.budget]
    fits = {True: "yes", False: "no", None: ""}[row.fits]
    return f"<tr>{_cells(texts)}{_cells([_number(value) for value in numbers], 'number')}{_cells([fits])}</tr>"


def _cells(texts: Sequence[str], kind: str = "") -> str:
    opening = f'<td class="{kind}">' if kind else "<td>"
    return "".join(f"{opening}{escape(text)}</td>" for text in texts)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
