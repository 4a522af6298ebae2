"""Image files, decoded one at a time, upright as viewers show them.

Shapes: `H W` of the upright picture.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from ..errors import InputError
from .modes import as_rgb

_DAMAGE = (OSError, SyntaxError, ValueError, EOFError)  # what Pillow raises on bad files
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""What makes a picture of an EXIF orientation upright."""


DAMAGED = "cannot be read"
"""Why most damaged files cannot be used; a file may be mended."""

MAX_PIXELS = 100_000_000
"""Of a labelled picture: decoded, that many take 300 MB in each worker process."""

MIN_SIDE = 8
"""In pixels; nothing can be seen on a labelled picture of less."""


class PictureError(InputError):
    """An image file that cannot be used. `reason` says why in a few words, such as "not an image"."""

    def __init__(self, path: Path, reason: str, sentence: str) -> None:
        super().__init__(f"image {path} {sentence}")
        self.reason = reason


@dataclass(frozen=True)
class Geometry:
    """The size in pixels in which a picture is stored, and its EXIF orientation, 1 to 8: how viewers turn it.

    Orientations from 5 on exchange width and height.
    """

    width: int
    height: int
    orientation: int = 1

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height

    @property
    def upright_size(self) -> tuple[int, int]:
        return turned_size(self.size, self.orientation)


def turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Width and height after a picture was turned as its EXIF orientation says."""
    return (size[1], size[0]) if orientation >= 5 else size


def read_geometry(path: Path) -> Geometry:
    """Size and orientation of an image file; pixels are decoded only where a PNG may hide its orientation behind them.

    Raises `PictureError` when the file is not there, or is not an image.
    """
    with _opened(path) as image:
        return _geometry(image)


def _geometry(image: Image.Image) -> Geometry:
    if image.format == "PNG":
        image.load()
    orientation = _orientation(image)
    upright_by_now = image.format == "TIFF"  # Pillow gives its size as it will be once its pixels are loaded
    size = turned_size(image.size, orientation) if upright_by_now else image.size
    return Geometry(*size, orientation)


def read_pixels(path: Path, width: int, height: int) -> NDArray[np.uint8]:
    """An image file whose upright size is known, as RGB `(H, W, 3)`.

    Raises `PictureError` when the file is not there, is damaged, or has another size.
    """
    pixels = read_picture(path)
    if pixels.shape[:2] != (height, width):
        found = f"{pixels.shape[1]} x {pixels.shape[0]} pixels, not {width} x {height}"
        raise PictureError(path, found, f"has {found}")
    return pixels


def read_picture(path: Path, mode: str = "RGB") -> NDArray[np.uint8]:
    """An image file of any size as `(H, W, 3)`; with `mode` "L" as greys `(H, W)`.

    Raises `PictureError` when the file is not there or is damaged.
    """
    with _opened(path) as image:
        return np.array(_upright(image).convert(mode))


@dataclass(frozen=True, eq=False)
class UprightPicture:
    """An RGB image as viewers show it, and its width and height as it is stored, which may be larger."""

    image: Image.Image
    size: tuple[int, int]


def upright_picture(path: Path, content: bytes, wanted: tuple[int, int]) -> UprightPicture:
    """The picture in the `content` of the file `path`; a JPEG of many pixels is decoded at a half, a quarter or an
    eighth of its size, but not below twice the `wanted` width and height.

    Raises `PictureError` when it is damaged, or has too few or too many pixels; then it is not decoded.
    """
    with _quietly_opened(path, content) as image:
        _check_size(path, image)
        size = _geometry(image).upright_size
        side = 2 * max(wanted)
        image.draft(None, (side, side))
        return UprightPicture(_upright(image), size)


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    turn = _TURNS.get(_orientation(image))
    rgb = as_rgb(image)
    return rgb if turn is None else rgb.transpose(turn)


def _check_size(path: Path, image: Image.Image) -> None:
    width, height = image.size
    found = f"{width} x {height} pixels"
    if width * height > MAX_PIXELS:
        raise PictureError(path, f"{found}, too many", f"has {found}; at most {MAX_PIXELS // 10**6} million are read")
    if min(width, height) < MIN_SIDE:
        raise PictureError(path, f"{found}, too few", f"has {found}; each side needs at least {MIN_SIDE}")


def _orientation(image: Image.Image) -> int:
    """1 to 8; 1, as viewers take it, where the picture's EXIF data are damaged."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, ValueError, KeyError, TypeError, IndexError, struct.error):
        return 1
    return int(orientation) if orientation in range(1, 9) else 1


def check_picture(path: Path) -> None:
    """Raises `PictureError` if it is not an image file, judging by its beginning alone."""
    with _opened(path):
        pass


@contextmanager
def _quietly_opened(path: Path, content: bytes) -> Iterator[Image.Image]:
    """Without Pillow's warnings: of many pixels, which are counted here, and of damaged EXIF data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with _opened(path, io.BytesIO(content)) as image:
            yield image


@contextmanager
def _opened(path: Path, content: io.BytesIO | None = None) -> Iterator[Image.Image]:
    """Whatever Pillow says of a damaged file meanwhile is a `PictureError`."""
    try:
        with Image.open(path if content is None else content) as image:
            yield image
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(path, "too many pixels", "has too many pixels to be read; make it smaller") from error
    except FileNotFoundError as error:
        raise PictureError(path, "not there", f"cannot be read: {error.strerror}; check the path") from error
    except (PermissionError, IsADirectoryError) as error:
        raise PictureError(path, DAMAGED, f"cannot be read: {error.strerror}; check the path") from error
    except UnidentifiedImageError as error:
        sentence = "cannot be read: it is not an image, or of a kind that Pillow does not know; JPEG and PNG will do"
        raise PictureError(path, "not an image", sentence) from error
    except _DAMAGE as error:
        sentence = f"cannot be read: {error}; is it a whole JPEG, PNG or the like?"
        raise PictureError(path, DAMAGED, sentence) from error
