"""Tables as columns of text: `.csv`, `.tsv` and `.parquet`."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ..labels import as_label

ENDINGS = (".csv", ".tsv", ".parquet")

Columns = dict[str, list[str]]


def read_cells(table: Path) -> Columns:
    """The columns of a table by their names, all cells as text. Raises `InputError` for what is no table."""
    try:
        header, rows = _parquet(table) if table.suffix.lower() == ".parquet" else _separated(table)
    except OSError as error:
        raise InputError(f"cannot read {table}: {error.strerror or error}; check the file") from error
    except (ValueError, csv.Error) as error:
        raise InputError(f"cannot read {table}: {' '.join(str(error).split())}; is it a table in UTF-8?") from error
    names = [as_label(name) for name in header]
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise InputError(f"{table} has two columns {twice[0]!r}; rename or remove one")
    return {name: [row[index] for row in rows] for index, name in enumerate(names)}


def _separated(table: Path) -> tuple[Sequence[str], list[Sequence[str]]]:
    with open(table, newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, delimiter="\t" if table.suffix.lower() == ".tsv" else ",", strict=True)
        header = next(reader, [])
        rows: list[Sequence[str]] = []
        for row in reader:
            if row and len(row) != len(header):
                line = reader.line_num
                raise ValueError(f"line {line} has {len(row)} cells where the first line has {len(header)}")
            if row:
                rows.append(row)
    return header, rows


def _parquet(table: Path) -> tuple[Sequence[str], list[Sequence[str]]]:
    import pandas as pd

    try:
        frame = pd.read_parquet(table)
    except ImportError as error:
        raise InputError(f"reading {table} needs pyarrow; install it: pip install 'edgewright[parquet]'") from error
    columns = [[_text(cell) for cell in frame[name]] for name in frame.columns]
    return [str(name) for name in frame.columns], list(zip(*columns, strict=True))


def _text(cell: Any) -> str:
    """A cell of a typed table as it would stand in a CSV file."""
    if isinstance(cell, (list, tuple, np.ndarray)):
        return ";".join(map(_text, cell))
    if cell is None or cell != cell:
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
