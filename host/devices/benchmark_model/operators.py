"""The tool's table of operators, read back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_SECTION = "Operator-wise Profiling Info for Regular Benchmark Runs"
_RUN_ORDER = re.compile(r"=+ Run Order =+")


def parse_operators(text: str) -> list[dict[str, Any]] | None:
    """{"op", "type", "latency_ms", "share"} in the order of the run; None where the tool printed no such table.

    Where a delegate tells what it does inside, that stands in place of its own row.
    """
    tables = [list(_rows(part)) for part in _RUN_ORDER.split(text.partition(_SECTION)[2])[1:]]
    rows = [row for row in tables[0] if not (len(tables) > 1 and "Delegate" in row["type"])] if tables else []
    rows += [row for table in tables[1:] for row in table]
    total_ms = sum(row["latency_ms"] for row in rows)
    if total_ms <= 0:
        return None
    return [{**row, "share": row["latency_ms"] / total_ms} for row in rows]


def _rows(part: str) -> Iterator[dict[str, Any]]:
    """Of one table, which ends with the next headline. Columns are told apart by tabs or many blanks."""
    columns: list[str] = []
    for line in part.splitlines():
        cells = [cell for cell in re.split(r"\t+\s*|\s{2,}", line.strip()) if cell]
        if cells and cells[0] == "[node type]":
            columns = cells
        elif line.lstrip().startswith("====") or "Delegate internal" in line:
            return
        elif columns and len(cells) == len(columns):
            known = dict(zip(columns, cells, strict=True))
            name, kind = re.sub(r"^\[(.*)\](:\d+)?$", r"\1\2", known["[Name]"]), known["[node type]"]
            yield {"op": name, "type": kind, "latency_ms": float(known["[avg ms]"])}
