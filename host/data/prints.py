"""Fingerprints: what tells pictures apart, or shows that two are the same. Found once per state of a file and kept.

A fingerprint holds the SHA-256 of the picture's content, its size, and a miniature of 16 x 16 pixels, `(S, S, 3)`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..files import atomic_path
from .layouts.base import Pictures, Stamp
from .pictures import PictureError
from .spread import OnProgress, spread

MINIATURE = 16
_WANTED = 4 * MINIATURE  # a JPEG is decoded at no less than this
_VERSION = 1
PRINT = np.dtype(
    [
        ("name", np.uint8, 16),  # beginning of the name's SHA-256
        ("stamp", np.int64, 2),
        ("content", np.uint8, 32),
        ("size", np.int32, 2),  # upright width and height
        ("miniature", np.uint8, (MINIATURE, MINIATURE, 3)),
    ]
)

Prints = NDArray[Any]  # (n,) of PRINT


def fingerprints(
    pictures: Pictures, names: Sequence[str], where: Path, cache: Path, progress: OnProgress
) -> tuple[Prints, dict[str, str]]:
    """Fingerprints of the pictures at `where` that can be read, in the order of `names`; of the others, why not.

    Only those that are new or changed are decoded, and what is found is kept in the folder `cache`, also when the work
    is interrupted. Raises `StorageError` where it cannot be.
    """
    path = cache / f"{hashlib.sha256(str(where.absolute()).encode()).hexdigest()[:24]}.prints{_VERSION}.npy"
    found, unreadable, missing = _known(pictures, names, _load(path))
    if len(missing):
        work, items = partial(_look, pictures), [(names[row], tuple(found["stamp"][row].tolist())) for row in missing]
        try:
            for part, (prints, reasons) in spread(work, items, progress, pictures.in_memory):
                found[missing[part]] = prints
                unreadable.update(reasons)
        finally:
            _save(path, found[[row for row, name in enumerate(names) if name not in unreadable]])
    progress(len(names), len(names))
    return found, {name: unreadable[name] for name in names if name in unreadable}


def _known(
    pictures: Pictures, names: Sequence[str], kept: Prints
) -> tuple[Prints, dict[str, str], NDArray[np.int64]]:
    """What is kept of every picture, those that are not there, and the rows that have to be looked at."""
    row_of = {row["name"].tobytes(): index for index, row in enumerate(kept[["name"]])}
    found, reasons, missing = np.zeros(len(names), PRINT), {}, []
    stamps = kept["stamp"].tolist()
    for row, name in enumerate(names):
        key = hashlib.sha256(name.encode()).digest()[:16]
        try:
            stamp = pictures.stamp(name)
        except PictureError as error:
            reasons[name] = error.reason
            continue
        index = row_of.get(key)
        if index is not None and tuple(stamps[index]) == stamp:
            found[row] = kept[index]
        else:
            found[row]["name"], found[row]["stamp"] = np.frombuffer(key, np.uint8), stamp
            missing.append(row)
    return found, reasons, np.array(missing, np.int64)


def _look(pictures: Pictures, items: Sequence[tuple[str, Stamp]]) -> tuple[Prints, dict[str, str]]:
    """Fingerprints of some pictures; in a worker process."""
    prints, reasons = np.zeros(len(items), PRINT), {}
    for row, (name, stamp) in enumerate(items):
        try:
            content = pictures.content(name)
            picture = pictures.picture(name, content, (_WANTED, _WANTED))
        except PictureError as error:
            reasons[name] = error.reason
            continue
        prints[row]["name"] = np.frombuffer(hashlib.sha256(name.encode()).digest()[:16], np.uint8)
        prints[row]["stamp"] = stamp
        prints[row]["content"] = np.frombuffer(hashlib.sha256(content).digest(), np.uint8)
        prints[row]["size"] = picture.size
        prints[row]["miniature"] = picture.image.resize((MINIATURE, MINIATURE), Image.Resampling.BOX)
    return prints, reasons


def _load(path: Path) -> Prints:
    """What is kept, mapped, not loaded. A damaged file is as good as none: all of it can be found again."""
    try:
        kept = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return np.zeros(0, PRINT)
    return kept if kept.dtype == PRINT else np.zeros(0, PRINT)


def _save(path: Path, prints: Prints) -> None:
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.save(file, prints[prints["content"].any(axis=1)])
