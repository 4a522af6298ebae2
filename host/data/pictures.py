"""One image at a time: decoded whole, or brought to a square side with its boxes.

Shapes: `H W` of the file, `C` = 3, `S` the square's side, `n` objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ..domains.detection.coco.file import DetectionImage
from ..errors import InputError

PADDING = 128
"""Grey level of what the picture does not fill: the middle, which says nothing."""

_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)  # what Pillow raises on bad files


def read_pixels(path: Path, width: int, height: int) -> NDArray[np.uint8]:
    """An image file of a known size as RGB `(H, W, 3)`.

    Orientation tags are not followed: boxes are in the coordinates of the pixels as they are stored. Raises
    `InputError` when the file is not there, is damaged, or has another size.
    """
    with _opened(path) as image:
        if image.size != (width, height):
            raise InputError(f"image {path} has {image.size[0]} x {image.size[1]} pixels, not {width} x {height}")
        return np.array(image.convert("RGB"))


def read_picture(path: Path, mode: str = "RGB") -> NDArray[np.uint8]:
    """An image file of any size, upright as viewers show it, as `(H, W, 3)`; with `mode` "L" as greys `(H, W)`.

    Raises `InputError` when the file is not there or is damaged.
    """
    with _opened(path) as image:
        return np.array(ImageOps.exif_transpose(image).convert(mode))


def check_picture(path: Path) -> None:
    """Raises `InputError` for what is no image file, by its beginning alone."""
    with _opened(path):
        pass


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Whatever Pillow says of a damaged file meanwhile is an `InputError`."""
    try:
        with Image.open(path) as image:
            yield image
    except InputError:
        raise
    except (FileNotFoundError, PermissionError) as error:
        raise InputError(f"image {path} cannot be read: {error.strerror}; check the path") from error
    except _DAMAGE as error:
        raise InputError(f"image {path} cannot be read: {error}; is it a whole JPEG, PNG or the like?") from error


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


def square_size(width: int, height: int, side: int) -> tuple[int, int]:
    """How wide and high an image is in a square: its longer side becomes `side`."""
    factor = side / max(width, height)
    return max(1, round(width * factor)), max(1, round(height * factor))


def square_boxes(image: DetectionImage, side: int) -> NDArray[np.float32]:
    """The boxes `(n, 4)` of an image's objects in a square."""
    width, height = square_size(image.width, image.height, side)
    across, down = width / image.width, height / image.height
    boxes = np.array([each.box for each in image.objects], np.float32).reshape(-1, 4)  # (n, 4)
    return boxes * np.array([across, down, across, down], np.float32)


def load_square(image: DetectionImage, side: int) -> SquareImage:
    """An image file in a square, see `squared`. Raises `InputError` for a file that cannot be read."""
    return squared(read_pixels(image.path, image.width, image.height), side, square_boxes(image, side))


def squared(picture: NDArray[np.uint8], side: int, boxes: NDArray[np.float32] | None = None) -> SquareImage:
    """An RGB picture `(H, W, 3)`, letterboxed: its longer side becomes `side`, what is missing to the right or below
    is grey. `boxes` `(n, 4)` are in the square already.

    Shapes of objects stay as they are, which detectors rely on. Raises `InputError` for a side of no pixel.
    """
    if side < 1:
        raise InputError(f"a square needs a side of at least 1 pixel, got {side}")
    height, width = picture.shape[:2]
    across, down = square_size(width, height, side)
    if (across, down) != (width, height):
        picture = np.asarray(Image.fromarray(picture).resize((across, down), Image.Resampling.BILINEAR))
    square = np.full((side, side, 3), PADDING, np.uint8)
    square[:down, :across] = picture
    pixels = np.ascontiguousarray(square.transpose(2, 0, 1))  # (3, S, S)
    boxes = np.zeros((0, 4), np.float32) if boxes is None else boxes
    return SquareImage(pixels, boxes, (across / width, down / height))
