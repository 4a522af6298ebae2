"""One HTML file that holds everything: text, tables, charts and the library that draws them. It needs no network.

Pages are Jinja templates that extend `page.html`, with autoescape on: words of a device or a supernet are text, never
markup. The page's security policy names the hashes of the only two scripts that may run.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

TEMPLATES = Path(__file__).with_name("templates")


def document(template: Path, title: str, charts: Mapping[str, go.Figure], values: Mapping[str, Any]) -> bytes:
    """The page, UTF-8: a template's, which is given `values`; each chart is drawn where the template put its name."""
    library, draw = get_plotlyjs(), (TEMPLATES / "draw.js").read_text()
    page = _environment(template.parent).get_template(template.name)
    content = page.render(
        **values,
        title=title,
        charts=charts,
        charts_json=Markup(_script_safe(_charts_json(charts))),
        library=Markup(library),
        draw=Markup(draw),
        policy=_policy(library, draw),
    )
    return content.encode("utf-8", "replace")  # a lone surrogate from a device must not cost the page


def _environment(folder: Path) -> Environment:
    loader = FileSystemLoader([folder, TEMPLATES])
    return Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _policy(*scripts: str) -> str:
    """Nothing is loaded from anywhere, and no script runs but these."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"


def _charts_json(charts: Mapping[str, go.Figure]) -> str:
    return json.dumps({name: json.loads(figure.to_json()) for name, figure in charts.items()}, allow_nan=False)


def _script_safe(text: str) -> str:
    """JSON that cannot end its script element: in JSON these characters occur in strings only."""
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text
