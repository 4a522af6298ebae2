"""How the images of a folder are stored, looked up once per state of a file and kept beside the decoded images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import astuple
from pathlib import Path

from ....data.pictures import Geometry, PictureError, read_geometry
from ....files import write_atomic

VERSION = 1

_Row = tuple[int, ...]
"""Bytes and time of a file, then the fields of its `Geometry`."""


def read_geometries(
    folder: Path, names: Collection[str], cache: Path | None
) -> Mapping[str, Geometry | PictureError]:
    """By name, how each image is stored, or why it cannot be used.

    With `cache`, a folder, only files that are new or changed are opened. Raises `StorageError` where it cannot be
    written.
    """
    kept = cache and cache / f"{hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:24]}.geometry.json"
    known = _load(kept) if kept else {}
    found = {name: _look(folder / name, known.get(name, ())) for name in names}
    rows = known | {name: row for name, row in found.items() if not isinstance(row, PictureError)}
    if kept and rows != known:
        write_atomic(kept, json.dumps({"version": VERSION, "files": rows}, separators=(",", ":")).encode())
    return {name: row if isinstance(row, PictureError) else Geometry(*row[2:]) for name, row in found.items()}


def _look(path: Path, known: _Row) -> _Row | PictureError:
    try:
        state = path.stat()
        stamp = (state.st_size, state.st_mtime_ns)
        return known if known[:2] == stamp else (*stamp, *astuple(read_geometry(path)))
    except PictureError as error:
        return error
    except OSError:
        return PictureError(path, "not there", "is not there")


def _load(path: Path) -> dict[str, _Row]:
    """The cache; empty if it is damaged or of another version, since all of it can be looked up again."""
    try:
        data = json.loads(path.read_bytes())
        rows = data["files"] if data["version"] == VERSION else {}
        return {name: tuple(row) for name, row in rows.items() if [type(value) for value in row] == [int] * 5}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
