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

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..labels import LabelGroup, as_label, label_order
from ..left_out import LeftOut
from .base import NOT_GIVEN, SPLITS, Listing, split_index
from .cells import ENDINGS, Columns, read_cells
from .files import LEADS_OUT, FilePictures, is_hidden, is_text

FILE, SPLIT = "file", "split"
_YES, _NO = ("1", "true", "yes"), ("0", "false", "no")
_NAMED = 3


@dataclass(frozen=True)
class Table:
    expected: str = "a table (.csv, .tsv or .parquet) with a column file and one for each attribute"

    def fits(self, path: Path) -> bool:
        return path.suffix.lower() in ENDINGS if path.is_file() else bool(_tables(path))

    def list(self, path: Path) -> Listing:
        table = path if path.is_file() else _only_table(path)
        columns = _by_file(table, read_cells(table))
        root, names = table.parent, tuple(columns[FILE])
        attributes = [name for name in columns if name not in (FILE, SPLIT)]
        if not attributes:
            raise InputError(f"{table} has no column that says what its images show; add one, such as colour or helmet")
        read = [_column(table, name, columns) for name in attributes]
        groups, has = tuple(group for group, _ in read), np.concatenate([part for _, part in read], axis=1)
        told = LeftOut(len(names), str(table), reasons=_outside(root, names))
        listing = Listing(root, FilePictures(root), groups, names, has, _splits(table, columns), told)
        _check_files(table, root, [name for name in names if name not in told.reasons])
        inside = np.flatnonzero([name not in told.reasons for name in names])
        return listing.of(inside)


def _tables(folder: Path) -> list[Path]:
    files = (each for each in folder.iterdir() if each.suffix.lower() in ENDINGS and not is_hidden(each.name))
    return sorted(each for each in files if each.is_file())


def _only_table(folder: Path) -> Path:
    found = _tables(folder)
    if len(found) > 1:
        raise InputError(f"{folder} holds {len(found)} tables ({', '.join(t.name for t in found)}); name one of them")
    return found[0]


def _by_file(table: Path, columns: Columns) -> Columns:
    """The columns, their rows sorted by file. Raises `InputError` for columns and files that cannot be."""
    if FILE not in columns:
        raise InputError(f"{table} has no column {FILE!r}; it has: {', '.join(columns) or 'none'}")
    if not columns[FILE]:
        raise InputError(f"{table} names no files; add a row for each image")
    files = [_file_name(table, cell) for cell in columns[FILE]]
    name, times = Counter(files).most_common(1)[0]
    if times > 1:
        raise InputError(f'{table} names {name} in {times} rows; join them, several values as "red;blue"')
    order = sorted(range(len(files)), key=files.__getitem__)
    return {name: [cells[row] for row in order] for name, cells in (columns | {FILE: files}).items()}


def _file_name(table: Path, cell: str) -> str:
    if not cell.strip() or not is_text(cell):
        raise InputError(f"{table} has {cell!r} in the column {FILE!r}, which names no file; correct that row")
    return PurePosixPath(cell.strip()).as_posix()


def _splits(table: Path, columns: Columns) -> NDArray[np.int8]:
    cells = [cell.strip() for cell in columns.get(SPLIT, [])]
    if not any(cells):
        return np.full(len(columns[FILE]), NOT_GIVEN, np.int8)
    known = {cell: split_index(cell) for cell in set(cells)}
    for cell, index in sorted(known.items()):
        if index is None:
            raise InputError(f"{table} has the split {cell!r}; it must be one of {', '.join(SPLITS)} in every row")
    return np.array([known[cell] for cell in cells], np.int8)


def _column(table: Path, name: str, columns: Columns) -> tuple[LabelGroup, NDArray[np.bool_]]:
    """A column's labels, and which of them each row has, `(n, labels)`."""
    cells = columns[name]
    words = [cell.strip().lower() for cell in cells]
    used = {word for word in words if word}
    if not used:
        raise InputError(f"the column {name!r} of {table} is empty; fill it or remove it")
    if used <= {*_YES, *_NO}:
        if "" in words:
            file = columns[FILE][words.index("")]
            raise InputError(f"the column {name!r} of {table} says yes or no, but nothing of {file}; fill it")
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
