"""Image files, decoded one at a time.

Shapes: `H W` of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ..errors import InputError

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
    """Raises `InputError` if it is not an image file, judging by its beginning alone."""
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
