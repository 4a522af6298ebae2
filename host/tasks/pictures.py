"""One image at a time: decoded whole, or brought to a square side with its boxes.

Shapes: `H W` of the file, `C` = 3, `S` the square's side, `n` objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import InputError
from .coco import DetectionImage

PADDING = 128
"""Grey level of what the picture does not fill: the middle, which says nothing."""

_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)  # what Pillow raises on bad files


def read_pixels(path: Path, width: int, height: int) -> NDArray[np.uint8]:
    """An image file of a known size as RGB `(H, W, 3)`.

    Orientation tags are not followed: boxes are in the coordinates of the pixels as they are stored. Raises
    `InputError` when the file is not there, is damaged, or has another size.
    """
    try:
        with Image.open(path) as image:
            if image.size != (width, height):
                raise InputError(f"image {path} has {image.size[0]} x {image.size[1]} pixels, not {width} x {height}")
            return np.array(image.convert("RGB"))
    except _DAMAGE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"image {path} cannot be read: {error}") from error


@dataclass(frozen=True)
class SquareImage:
    """Pixels `(3, S, S)` uint8 and the boxes `(n, 4)` of the image's objects in them, in the objects' order.

    `scale` is how many of the square's pixels one of the file's is, across and down.
    """

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    scale: tuple[float, float]

    def to_file(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes `(n, 4)` in the square back to the file's pixels."""
        across, down = self.scale
        return (boxes / np.array([across, down, across, down])).astype(np.float32)


def square_size(image: DetectionImage, side: int) -> tuple[int, int]:
    """How wide and high an image is in a square: its longer side becomes `side`."""
    factor = side / max(image.width, image.height)
    return max(1, round(image.width * factor)), max(1, round(image.height * factor))


def square_boxes(image: DetectionImage, side: int) -> NDArray[np.float32]:
    """The boxes `(n, 4)` of an image's objects in a square."""
    width, height = square_size(image, side)
    across, down = width / image.width, height / image.height
    boxes = np.array([each.box for each in image.objects], np.float32).reshape(-1, 4)  # (n, 4)
    return boxes * np.array([across, down, across, down], np.float32)


def load_square(image: DetectionImage, side: int) -> SquareImage:
    """An image, letterboxed: its longer side becomes `side`, what is missing to the right or below is grey.

    Shapes of objects stay as they are, which detectors rely on. Raises `InputError` for a file that cannot be read.
    """
    if side < 1:
        raise InputError(f"a square needs a side of at least 1 pixel, got {side}")
    picture = read_pixels(image.path, image.width, image.height)
    width, height = square_size(image, side)
    if (width, height) != (image.width, image.height):
        resized = Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR)
        picture = np.asarray(resized)
    square = np.full((side, side, 3), PADDING, np.uint8)
    square[:height, :width] = picture
    scale = width / image.width, height / image.height
    return SquareImage(np.ascontiguousarray(square.transpose(2, 0, 1)), square_boxes(image, side), scale)  # (3, S, S)
