"""A table of results on disk that grows row by row; a row is one finished piece of work and is never done twice."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import InputError
from ..files import make_dir, storage_error, write_atomic

Value = str | float | int | bool | None


class ResultTable:
    """A CSV file. The first `n_key` columns name a row's work; what a kill left of the last line is dropped."""

    def __init__(self, path: Path, columns: Sequence[str], n_key: int) -> None:
        """Raises `InputError` when the file holds other columns."""
        self.path, self.columns, self.n_key = path, tuple(columns), n_key
        make_dir(path.parent)
        if not path.exists():
            write_atomic(path, _line(columns))
        whole, _, rest = path.read_bytes().rpartition(b"\n")
        if rest:
            write_atomic(path, whole + b"\n")
        header, *rows = csv.reader(io.StringIO(whole.decode()))
        if tuple(header) != self.columns:
            raise InputError(f"{path} has columns of another version ({', '.join(header)}); choose another folder")
        self._rows = [dict(zip(self.columns, row, strict=True)) for row in rows]
        self._keys = {self._key(row) for row in self._rows}

    @property
    def rows(self) -> list[dict[str, str]]:
        """What the file holds, all as text; None is empty."""
        return list(self._rows)

    def has(self, *key: Value) -> bool:
        return tuple(_text(value) for value in key) in self._keys

    def add(self, row: Mapping[str, Value]) -> None:
        """Write a row; when this returns it is on the disk. Raises `StorageError`."""
        texts = {name: _text(row[name]) for name in self.columns}
        try:
            with open(self.path, "ab") as file:
                file.write(_line(list(texts.values())))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise storage_error(self.path, error) from error
        self._rows.append(texts)
        self._keys.add(self._key(texts))

    def _key(self, row: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(row[name] for name in self.columns[: self.n_key])


def file_stem(text: str) -> str:
    """A name for a file out of any text: letters and digits stay."""
    return "".join(letter if letter.isalnum() else "-" for letter in text)


def number(text: str) -> float | None:
    """A cell as a number; None where it is empty."""
    return float(text) if text else None


def _text(value: Value) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _line(values: Sequence[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue().encode()
