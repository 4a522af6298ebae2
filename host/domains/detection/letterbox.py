"""Letterboxing: an image's longer side fits a square, the rest is grey, and objects keep their shape.

Shapes: `H W` of the upright picture, `S` the letterboxed side, `n` objects.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...data.pictures import read_pixels
from ...errors import InputError
from .objects import DetectionImage

PADDING = 128
"""Grey level of what the picture does not fill."""


@dataclass(frozen=True)
class Letterboxed:
    """Pixels `(3, S, S)` uint8 and the boxes `(n, 4)` of the image's objects in them, in the objects' order.

    `scale` is how many letterboxed pixels one of the picture's pixels becomes, across and down.
    """

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    scale: tuple[float, float]

    def to_file(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Letterboxed boxes `(n, 4)` in the upright picture's pixels."""
        across, down = self.scale
        return (boxes / np.array([across, down, across, down])).astype(np.float32)


def letterboxed_size(width: int, height: int, side: int) -> tuple[int, int]:
    """How wide and high an image is once its longer side is `side`."""
    factor = side / max(width, height)
    return max(1, round(width * factor)), max(1, round(height * factor))


def letterboxed_boxes(image: DetectionImage, side: int) -> NDArray[np.float32]:
    """The boxes `(n, 4)` of an image's objects, letterboxed."""
    width, height = letterboxed_size(image.width, image.height, side)
    across, down = width / image.width, height / image.height
    boxes = np.array([each.box for each in image.objects], np.float32).reshape(-1, 4)  # (n, 4)
    return boxes * np.array([across, down, across, down], np.float32)


def load_letterboxed(image: DetectionImage, side: int) -> Letterboxed:
    """An image file, letterboxed; see `letterbox`. Raises `InputError` for a file that cannot be read."""
    return letterbox(read_pixels(image.path, image.width, image.height), side, letterboxed_boxes(image, side))


def letterbox(picture: NDArray[np.uint8], side: int, boxes: NDArray[np.float32] | None = None) -> Letterboxed:
    """An RGB picture `(H, W, 3)`, letterboxed: its longer side becomes `side`, the rest to the right or below is grey.
    `boxes` `(n, 4)` are letterboxed already.

    Objects keep their shape, which detectors rely on. Raises `InputError` for a side below one pixel.
    """
    if side < 1:
        raise InputError(f"a letterboxed image needs a side of at least 1 pixel, got {side}")
    height, width = picture.shape[:2]
    across, down = letterboxed_size(width, height, side)
    if (across, down) != (width, height):
        picture = np.asarray(Image.fromarray(picture).resize((across, down), Image.Resampling.BILINEAR))
    canvas = np.full((side, side, 3), PADDING, np.uint8)
    canvas[:down, :across] = picture
    pixels = np.ascontiguousarray(canvas.transpose(2, 0, 1))  # (3, S, S)
    boxes = np.zeros((0, 4), np.float32) if boxes is None else boxes
    return Letterboxed(pixels, boxes, (across / width, down / height))
