"""An evaluation's tables as Markdown, for a repository's docs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...tasks.domain import TaskDomain
from .options import Options
from .tables import Cell, ShownTable, protocol, shown_tables


def render_markdown(folder: Path, domain: TaskDomain, options: Options) -> bytes:
    """What the page says in tables; its charts are in the page only."""
    parts = ["# NN-Factory's experiments on this machine", protocol(domain, options)]
    parts += [_section(shown) for shown in shown_tables(folder, domain)]
    return ("\n\n".join(parts) + "\n").encode()


def _section(shown: ShownTable) -> str:
    lines = [f"## {shown.title}", shown.note] if shown.note else [f"## {shown.title}"]
    if shown.rows:
        rule = "|".join("---" for _ in shown.header)
        lines.append("\n".join([_line(shown.header), f"|{rule}|", *(_line(row) for row in shown.rows)]))
    return "\n\n".join(lines)


def _line(cells: Sequence[Cell]) -> str:
    return f"| {' | '.join(map(_text, cells))} |"


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    return cell.replace("|", "\\|") if isinstance(cell, str) else f"{cell:.4g}"
