"""Pictures with labelled boxes on them.

Shapes: `H W` of a picture in RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from ...files import atomic_path

_COLOURS = ("#e6194b", "#ffe119", "#4363d8", "#3cb44b", "#f58231", "#911eb4", "#42d4f4", "#f032e6")
_LEAST_SIDE = 480  # pixels; on a smaller picture labels would hide what they are about
_LINE, _TEXT = 1 / 240, 1 / 34  # of the longer side: width of a line, height of a label's font
_LIGHT = 140  # grey level, from which on black is easier to read than white


class LabelledBox(NamedTuple):
    """x0, y0, x1, y1 in the picture's pixels, what is written there, and a number that chooses the colour."""

    box: tuple[float, float, float, float]
    label: str
    kind: int


def draw_boxes(picture: NDArray[np.uint8], boxes: Sequence[LabelledBox]) -> NDArray[np.uint8]:
    """A copy of the picture `(H, W, 3)` with the boxes, the first ones on top.

    A small picture comes back enlarged, by a whole number, so that its labels can be read.
    """
    height, width = picture.shape[:2]
    factor = -(-_LEAST_SIDE // max(height, width))
    image = Image.fromarray(picture).resize((width * factor, height * factor), Image.Resampling.NEAREST)
    draw, line = ImageDraw.Draw(image), max(2, round(max(image.size) * _LINE))
    font = ImageFont.load_default(size=max(image.size) * _TEXT)
    for each in reversed(boxes):
        x0, y0, x1, y1 = (round(value * factor) for value in each.box)
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=_colour(each), width=line)
    for each in reversed(boxes):  # after all boxes: no line crosses a label
        _write(draw, each, factor, font)
    return np.asarray(image)


def write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """`(H, W, 3)` as a file, whole or not at all. Raises `StorageError`."""
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


def _write(
    draw: ImageDraw.ImageDraw, each: LabelledBox, factor: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> None:
    """The label on a ground of the box's colour: above the box, or in it where the picture ends."""
    left, top, right, bottom = draw.textbbox((0, 0), each.label, font=font)
    margin = max(2.0, (bottom - top) / 4)
    width, height = right - left + 2 * margin, bottom - top + 2 * margin
    x = max(0.0, min(each.box[0] * factor, draw.im.size[0] - width))
    y = each.box[1] * factor - height
    y = y if y >= 0 else max(0.0, min(each.box[1] * factor, draw.im.size[1] - height))
    draw.rectangle((x, y, x + width, y + height), fill=_colour(each))
    ink = "black" if ImageColor.getcolor(_colour(each), "L") >= _LIGHT else "white"  # type: ignore[operator]
    draw.text((x + margin - left, y + margin - top), each.label, fill=ink, font=font)


def _colour(each: LabelledBox) -> str:
    return _COLOURS[each.kind % len(_COLOURS)]
