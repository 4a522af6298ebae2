"""Pictures with labelled boxes on them, drawn by torchvision.

Shapes: `H W` of a picture in RGB, `n` boxes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFont
from torch import Tensor
from torchvision.utils import draw_bounding_boxes

from ...files import atomic_path

_COLOURS = ("#e6194b", "#ffe119", "#4363d8", "#3cb44b", "#f58231", "#911eb4", "#42d4f4", "#f032e6")
_MIN_SIDE = 480  # pixels; on a smaller picture labels would hide what they are about
_LINE, _TEXT = 1 / 240, 1 / 34  # of the longer side: width of a line, height of a label's font
_LIGHT = 140  # grey level from which black is easier to read than white
_MARGIN = 2  # pixels from a box's corner to its text: what torchvision leaves inside a line of one pixel


class LabelledBox(NamedTuple):
    """x0, y0, x1, y1 in the picture's pixels, the label, and a number that chooses the colour."""

    box: tuple[float, float, float, float]
    label: str
    kind: int


def draw_boxes(picture: NDArray[np.uint8], boxes: Sequence[LabelledBox]) -> NDArray[np.uint8]:
    """A copy of the picture `(H, W, 3)` with the boxes, the first ones on top.

    A small picture is enlarged by a whole number, so that its labels can be read.
    """
    factor = -(-_MIN_SIDE // max(picture.shape[:2]))
    enlarged = picture.repeat(factor, 0).repeat(factor, 1)  # (H, W, 3)
    if not boxes:
        return enlarged
    ordered, longer = list(reversed(boxes)), max(enlarged.shape[:2])
    image = torch.from_numpy(enlarged).permute(2, 0, 1)  # (3, H, W)
    frames = _frames(ordered, factor)
    colours = [_COLOURS[each.kind % len(_COLOURS)] for each in ordered]
    image = draw_bounding_boxes(image, frames, colors=colours, width=max(2, round(longer * _LINE)))
    image = _with_labels(image, frames, [each.label for each in ordered], colours, round(longer * _TEXT))
    return image.permute(1, 2, 0).numpy()


def write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """`(H, W, 3)` as a file, whole or not at all. Raises `StorageError`."""
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


def _frames(boxes: Sequence[LabelledBox], factor: int) -> Tensor:
    """Corners `(n, 4)` in pixels of the enlarged picture, the last pixel included."""
    corners = (torch.tensor([each.box for each in boxes]) * factor).round()
    return torch.cat([corners[:, :2], torch.maximum(corners[:, 2:] - 1, corners[:, :2])], 1)


def _with_labels(image: Tensor, frames: Tensor, labels: list[str], colours: list[str], font_size: int) -> Tensor:
    """Labels on a ground of their box's colour, drawn after all frames so that no line crosses them."""
    font = ImageFont.load_default(font_size)
    height = math.ceil(font.getbbox("bp")[3]) + 2 * _MARGIN
    widths = [max(height, math.ceil(font.getlength(label)) + 2 * _MARGIN) for label in labels]
    sizes = torch.tensor([(width, height) for width in widths])  # (n, 2)
    grounds = _grounds(frames, sizes, image.shape[2], image.shape[1])
    image = draw_bounding_boxes(image, grounds, colors=colours, width=height // 2 + 1)  # a line so wide fills them
    inks: list[Any] = ["black" if _grey_level(each) >= _LIGHT else "white" for each in colours]
    return draw_bounding_boxes(
        image, grounds, labels, colours, font=_file(font), font_size=font_size, label_colors=inks
    )


def _grounds(frames: Tensor, sizes: Tensor, width: int, height: int) -> Tensor:
    """Where labels `(n, 2)` wide and high go, `(n, 4)`: above their box, or in it where the picture ends."""
    room = (torch.tensor([width, height]) - sizes - 1).clamp_min(0)
    above = frames[:, 1] - sizes[:, 1] - 1
    y = torch.where(above >= 0, above, frames[:, 1])
    corner = torch.stack([frames[:, 0], y], 1).clamp_min(0).minimum(room)  # (n, 2)
    return torch.cat([corner, corner + sizes], 1)


def _grey_level(colour: str) -> int:
    return Image.new("RGB", (1, 1), colour).convert("L").getpixel((0, 0))  # type: ignore[return-value]


def _file(font: Any) -> Any:
    """The file of Pillow's own font, at its beginning: torchvision hands it to Pillow, which reads open files too."""
    font.path.seek(0)
    return font.path
