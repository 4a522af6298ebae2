"""COCO's segmentations as masks: polygons, run lengths, compressed run lengths.

Every number is checked before pycocotools sees it: its C code reads past the end of run lengths that are too short.

Shapes: masks `(H, W)` of the whole image, as its annotations see it: of its frame; run lengths go down the columns.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from .file import ObjectRow
from .frame import Frame


def encode_mask(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A mask as COCO's compressed run lengths, ready for JSON."""
    encoded = rle.encode(np.asfortranarray(mask, np.uint8))
    return {"size": [int(length) for length in encoded["size"]], "counts": encoded["counts"].decode("ascii")}


def object_mask(row: ObjectRow, frame: Frame) -> NDArray[np.bool_]:
    """Where the object is. Its box, if it has no segmentation or none that makes sense for this image."""
    mask = _segmented(row.segmentation, frame.height, frame.width)
    return mask if mask is not None and mask.any() else _filled_box(row, frame)


def _filled_box(row: ObjectRow, frame: Frame) -> NDArray[np.bool_]:
    mask = np.zeros((frame.height, frame.width), bool)
    left, top = (math.floor(value) for value in row.box[:2])
    right, bottom = (math.ceil(value) for value in row.box[2:])
    mask[top:bottom, left:right] = True
    return mask


def _segmented(segmentation: Any, height: int, width: int) -> NDArray[np.bool_] | None:
    try:
        if isinstance(segmentation, dict):
            return _from_runs(segmentation, height, width)
        return _from_polygons(segmentation, height, width) if segmentation else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _from_polygons(polygons: Any, height: int, width: int) -> NDArray[np.bool_] | None:
    """Polygons as lists x, y, x, y, ...; None if any is none, or lies far off the image."""
    lists = [[float(value) for value in polygon] for polygon in polygons]
    limit = 2.0 * max(height, width)
    for values in lists:
        if len(values) < 6 or len(values) % 2 or not all(abs(value) <= limit for value in values):
            return None
    merged = rle.merge(rle.frPyObjects(lists, height, width))
    return rle.decode(merged).astype(bool)


def _from_runs(segmentation: dict[str, Any], height: int, width: int) -> NDArray[np.bool_] | None:
    """Run lengths of 0 and 1 in turn; None unless they are of this image's size and fill it."""
    if list(segmentation["size"]) != [height, width]:
        return None
    counts = segmentation["counts"]
    runs = _unpacked(counts) if isinstance(counts, str) else [int(run) for run in counts]
    if any(run < 0 for run in runs) or sum(runs) != height * width:
        return None
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def _unpacked(counts: str) -> list[int]:
    """The run lengths of a compressed string: five bits a character; from the fourth on, what is added to the
    last but one.

    The format is that of `rleFrString` in pycocotools.
    """
    runs: list[int] = []
    value, shift = 0, 0
    for character in counts.encode("ascii"):
        bits = character - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:  # the last character of this number
            value -= (1 << shift) if bits & 0x10 else 0  # its sign
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value, shift = 0, 0
    return runs
