"""A table that names files and says what is on them: `.csv`, `.tsv` or `.parquet`.

    file,split,helmet,vest,colour      helmet and vest: yes or no (1/0, true/false)
    a.jpg,train,1,0,red                colour: one value, none, or several as "red;blue"
    b.jpg,test,1,1,                    split may be missing
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..labels import LabelGroup, as_label, label_order
from ..left_out import LeftOut
from .base import NOT_GIVEN, SPLITS, Listing, split_index
from .files import LEADS_OUT, FilePictures, is_hidden, is_text

if TYPE_CHECKING:
    import pandas as pd

FILE, SPLIT = "file", "split"
_ENDINGS = (".csv", ".tsv", ".parquet")
_YES, _NO = ("1", "true", "yes"), ("0", "false", "no")
_NAMED = 3


@dataclass(frozen=True)
class Table:
    expected: str = "a table (.csv, .tsv or .parquet) with a column file and one for each attribute"

    def fits(self, path: Path) -> bool:
        return path.suffix.lower() in _ENDINGS if path.is_file() else bool(_tables(path))

    def list(self, path: Path) -> Listing:
        table = path if path.is_file() else _only_table(path)
        frame = _sorted(_read(table), table)
        root = table.parent
        names = tuple(frame[FILE])
        columns = [name for name in frame.columns if name not in (FILE, SPLIT)]
        if not columns:
            raise InputError(f"{table} has no column that says what its images show; add one, such as colour or helmet")
        read = [_column(table, name, list(frame[name])) for name in columns]
        groups, has = tuple(group for group, _ in read), np.concatenate([part for _, part in read], axis=1)
        told = LeftOut(len(names), str(table), reasons=_outside(root, names))
        listing = Listing(root, FilePictures(root), groups, names, has, _splits(table, frame), told)
        _check_files(table, root, [name for name in names if name not in told.reasons])
        inside = np.flatnonzero([name not in told.reasons for name in names])
        return listing.of(inside)


def _tables(folder: Path) -> list[Path]:
    files = (each for each in folder.iterdir() if each.suffix.lower() in _ENDINGS and not is_hidden(each.name))
    return sorted(each for each in files if each.is_file())


def _only_table(folder: Path) -> Path:
    found = _tables(folder)
    if len(found) > 1:
        raise InputError(f"{folder} holds {len(found)} tables ({', '.join(t.name for t in found)}); name one of them")
    return found[0]


def _read(table: Path) -> pd.DataFrame:
    """All cells as text."""
    import pandas as pd

    try:
        if table.suffix.lower() == ".parquet":
            frame = pd.read_parquet(table)
            return frame.apply(lambda column: column.map(_text)).rename(columns=str)
        separator = "\t" if table.suffix.lower() == ".tsv" else ","
        options: dict[str, Any] = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig"}
        return pd.read_csv(table, sep=separator, index_col=False, **options)
    except ImportError as error:
        raise InputError(f"reading {table} needs pyarrow; install it: pip install 'edgewright[parquet]'") from error
    except OSError as error:
        raise InputError(f"cannot read {table}: {error.strerror or error}; check the file") from error
    except ValueError as error:  # pandas' own errors are ValueErrors
        said = " ".join(str(error).split())
        raise InputError(f"cannot read {table}: {said}; is it a table in UTF-8?") from error


def _text(cell: Any) -> str:
    """A cell of a typed table as it would stand in a CSV file."""
    if isinstance(cell, (list, tuple, np.ndarray)):
        return ";".join(map(_text, cell))
    if cell is None or cell != cell:
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _sorted(frame: pd.DataFrame, table: Path) -> pd.DataFrame:
    """Rows by file. Raises `InputError` for columns and files that cannot be."""
    frame = frame.rename(columns=lambda name: as_label(str(name)))
    if FILE not in frame.columns:
        raise InputError(f"{table} has no column {FILE!r}; it has: {', '.join(frame.columns) or 'none'}")
    twice = [name for name, n in Counter(frame.columns).items() if n > 1]
    if twice:
        raise InputError(f"{table} has two columns {twice[0]!r}; rename or remove one")
    if frame.empty:
        raise InputError(f"{table} names no files; add a row for each image")
    frame = frame.assign(**{FILE: [_file_name(table, cell) for cell in frame[FILE]]}).sort_values(FILE)
    again = frame[FILE][frame[FILE].duplicated()]
    if len(again):
        raise InputError(f"{table} names {again.iloc[0]} in two rows; join them, several values as \"red;blue\"")
    return frame


def _file_name(table: Path, cell: str) -> str:
    if not cell.strip() or not is_text(cell):
        raise InputError(f"{table} has {cell!r} in the column {FILE!r}, which names no file; correct that row")
    return PurePosixPath(cell.strip()).as_posix()


def _splits(table: Path, frame: pd.DataFrame) -> NDArray[np.int8]:
    cells = list(frame[SPLIT]) if SPLIT in frame.columns else []
    if not any(cells):
        return np.full(len(frame), NOT_GIVEN, np.int8)
    known = {cell: split_index(cell) for cell in set(cells)}
    for cell, index in sorted(known.items()):
        if index is None:
            raise InputError(f"{table} has the split {cell!r}; it must be one of {', '.join(SPLITS)} in every row")
    return np.array([known[cell] for cell in cells], np.int8)


def _column(table: Path, name: str, cells: Sequence[str]) -> tuple[LabelGroup, NDArray[np.bool_]]:
    """A column's labels, and which of them each row has, `(n, labels)`."""
    words = [cell.strip().lower() for cell in cells]
    used = {word for word in words if word}
    if not used:
        raise InputError(f"the column {name!r} of {table} is empty; fill it or remove it")
    if used <= {*_YES, *_NO}:
        if "" in words:
            row = cells.index("") if "" in cells else words.index("")
            raise InputError(f"the column {name!r} of {table} says yes or no, but nothing in row {row + 1}; fill it")
        return LabelGroup(name, (name,), exclusive=False), np.array([[word in _YES] for word in words])
    values = [{as_label(part) for part in cell.split(";")} - {""} for cell in cells]
    group = LabelGroup(name, label_order(set().union(*values)), exclusive=all(len(each) <= 1 for each in values))
    return group, np.array([[label in each for label in group.labels] for each in values])


def _outside(root: Path, names: Sequence[str]) -> dict[str, str]:
    """Files that lie elsewhere, where their names or links lead."""
    real = Path(os.path.realpath(root))
    homes = {folder: Path(os.path.realpath(root / folder)) for folder in {os.path.dirname(name) for name in names}}
    inside = {folder: home.is_relative_to(real) for folder, home in homes.items()}
    found = {}
    for name in names:
        path = homes[os.path.dirname(name)] / os.path.basename(name)
        link = path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(real)
        if link or not inside[os.path.dirname(name)]:
            found[name] = LEADS_OUT
    return found


def _check_files(table: Path, root: Path, names: Sequence[str]) -> None:
    missing = [name for name in names if not os.path.isfile(root / name)]
    if missing:
        named = ", ".join(missing[:_NAMED]) + (f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else "")
        verb = "file that is" if len(missing) == 1 else "files that are"
        raise InputError(f"{table} names {len(missing)} {verb} not there: {named}; paths start at {root}")
