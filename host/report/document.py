"""One HTML file that holds everything: text, tables, charts and the library that draws them. It asks no network.

What a device or a supernet says is text, never markup: who makes the body escapes it, and the page's own policy names
the hashes of the two scripts that may run, so that nothing else could.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

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


def document(title: str, body: Sequence[str], charts: Mapping[str, go.Figure]) -> bytes:
    """The page, UTF-8, of parts that are markup; each chart is drawn where `chart_place` put its name."""
    library = get_plotlyjs()
    head = (
        '<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_policy(library, _DRAW))}">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>"
    )
    scripts = (
        f'<script type="application/json" id="charts">{_script_safe(_charts_json(charts))}</script>\n'
        f"<script>{library}</script>\n<script>{_DRAW}</script>"
    )
    content = "\n".join(body)
    whole = f"<head>\n{head}\n</head>\n<body>\n{content}\n{scripts}\n</body>"
    page = f'<!doctype html>\n<html lang="en">\n{whole}\n</html>\n'
    return page.encode("utf-8", "replace")  # a lone surrogate from a device is no reason to lose the page


def chart_place(name: str) -> str:
    """Where a chart of this name will be drawn."""
    return f'<div class="chart" id="chart-{escape(name)}"></div>'


def section(name: str, title: str, content: str) -> str:
    """A heading and what is under it, which is markup."""
    return f'<section id="{escape(name)}">\n<h2>{escape(title)}</h2>\n{content}\n</section>'


def table(header: Sequence[str], rows: Sequence[Sequence[str | float | None]]) -> str:
    """A table of texts and numbers; what is None stays empty."""
    cells = "".join(f"<th>{escape(name)}</th>" for name in header)
    lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{cells}</tr>{lines}</table></div>'


def _cell(value: str | float | None) -> str:
    if value is None or isinstance(value, str):
        return f"<td>{escape(value or '')}</td>"
    return f'<td class="number">{value:.4g}</td>'


def _policy(*scripts: str) -> str:
    """Nothing is loaded from anywhere, and no script runs but these."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"


def _charts_json(charts: Mapping[str, go.Figure]) -> str:
    return json.dumps({name: json.loads(figure.to_json()) for name, figure in charts.items()}, allow_nan=False)


def _script_safe(text: str) -> str:
    """JSON that cannot end the script element it stands in: in JSON these letters occur in strings only."""
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text
