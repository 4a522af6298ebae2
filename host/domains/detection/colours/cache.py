"""Colours of annotated objects, found once and kept.

A file per annotation file and annotator holds what is known so far: an interrupted pass goes on where it was, and one
over more categories looks only at the new ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....data.pictures import read_pixels
from ....errors import InputError
from ....files import write_atomic
from ..attrod import COLOURS
from ..coco.file import CocoFile, DetectionSet, ImageRow, ObjectRow, detection_set
from ..coco.ids import Id, as_id
from ..coco.masks import object_mask
from .pixels import ColourAnnotator

SCHEMA = 1
_SAVE_EVERY = 500  # images

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Colours:
    """Colour, or None, by annotation id; and the ids of images that could not be read."""

    by_annotation: Mapping[Id, str | None]
    unreadable: frozenset[Id]


def annotate(
    coco: CocoFile, annotator: ColourAnnotator, folder: Path, on_progress: OnProgress | None = None
) -> Colours:
    """The colours of all objects of a split, from the cache in `folder` where they are known, else looked at.

    What was found is kept whatever ends the pass. Images that are damaged or not there have no colours and are tried
    again next time. Raises `InputError` for a damaged cache and `StorageError` when it cannot be written.
    """
    path = cache_path(coco, annotator, folder)
    known = _load(path, coco.sha256)
    pending = [row for row in coco.images if any(each.id not in known for each in _uncrowded(coco, row))]
    unreadable = set()
    try:
        for done, row in enumerate(pending):
            try:
                known |= _look(coco, row, annotator)
            except InputError:
                unreadable.add(row.id)
            if (done + 1) % _SAVE_EVERY == 0:
                _save(path, coco.sha256, known)
            if on_progress:
                on_progress(done + 1, len(pending))
    finally:
        if pending:
            _save(path, coco.sha256, known)
    return Colours(known, frozenset(unreadable))


def annotated_set(
    coco: CocoFile, annotator: ColourAnnotator, folder: Path, on_progress: OnProgress | None = None
) -> DetectionSet:
    """A split with the colours that `annotator` finds; see `annotate` and `detection_set`."""
    colours = annotate(coco, annotator, folder, on_progress)
    return detection_set(coco, colours.by_annotation, colours.unreadable)


def cache_path(coco: CocoFile, annotator: ColourAnnotator, folder: Path) -> Path:
    """Where an annotator's colours of an annotation file are kept."""
    return folder / f"{coco.sha256[:16]}-{re.sub(r'[^A-Za-z0-9.]+', '-', annotator.name)}.json"


def _look(coco: CocoFile, row: ImageRow, annotator: ColourAnnotator) -> dict[Id, str | None]:
    """The colours of the objects on one image. Raises `InputError` when it cannot be read."""
    path = coco.folder.images / row.name
    if row.frame is None:
        raise InputError(f"image {path} cannot be used: {row.trouble}")
    pixels = read_pixels(path, *row.frame.upright_size)
    colours = {}
    for each in _uncrowded(coco, row):
        mask = row.frame.upright_mask(object_mask(each, row.frame))
        window = _window(mask)
        colours[each.id] = annotator.colour_of(pixels[window], mask[window], each.category)
    return colours


def _uncrowded(coco: CocoFile, row: ImageRow) -> Iterator[ObjectRow]:
    return (each for each in coco.objects.get(row.id, ()) if not each.crowd)


def _window(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The smallest rows and columns that hold all of a mask, which is not empty."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _load(path: Path, sha256: str) -> dict[Id, str | None]:
    if not path.exists():
        return {}
    try:
        data = json.loads(path.read_bytes())
        if data["schema"] != SCHEMA or data["annotations"] != sha256:
            raise ValueError("it belongs to another annotation file or version")
        known = {as_id(key): colour for key, colour in data["colours"].items()}
        if not set(known.values()) <= {*COLOURS, None}:
            raise ValueError("it holds unknown colours")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"colours in {path} cannot be used ({error}); remove the file to find them anew") from error
    return known


def _save(path: Path, sha256: str, known: Mapping[Id, str | None]) -> None:
    data = {"schema": SCHEMA, "annotations": sha256, "colours": known}
    write_atomic(path, json.dumps(data, separators=(",", ":")).encode())
