"""Labelled images at one size, decoded once into a mapped file, so that a set may be larger than memory.

Shapes: `n` images, `(n, H, W, C)`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ..errors import InputError
from ..file_lock import file_lock
from ..files import make_dir, storage_error
from .labelled import LabelledImages
from .layouts.base import Pictures
from .pictures import PictureError
from .spread import OnProgress, no_progress, spread

_VERSION = 1
_MODES = {1: "L", 3: "RGB"}
_WAIT_S = 24 * 3600.0  # for another process that decodes the same images

Size = tuple[int, int, int]
Items = Sequence[tuple[str, bytes, int]]
"""Name and SHA-256 of an image, and its row in the file."""


def decoded(
    images: LabelledImages, size: Size, cache: Path, progress: OnProgress = no_progress
) -> NDArray[np.uint8]:
    """The images `(n, H, W, C)` at `size` `(C, H, W)`, mapped: the middle of each, scaled so that it covers the size.

    They are decoded once, into a file of the folder `cache`. A run that is ended leaves what it has to the next.
    Raises `InputError` when an image has changed since the folder was read, and `StorageError` when there is no room.
    """
    channels, height, width = size
    if channels not in _MODES or min(height, width) < 1:
        raise InputError(f"images are decoded to 1 or 3 channels and at least 1 x 1 pixels, got {size}")
    path = cache / f"{_key(images, size)}.npy"
    with file_lock(path.with_suffix(".lock"), _WAIT_S):
        if not path.exists():
            _decode(images, size, path, progress)
    return np.load(path, mmap_mode="r")


def _key(images: LabelledImages, size: Size) -> str:
    """Of what the pixels depend on."""
    return hashlib.sha256(f"{_VERSION} {size}".encode() + images.content.tobytes()).hexdigest()[:24]


def _decode(images: LabelledImages, size: Size, path: Path, progress: OnProgress) -> None:
    """The file gets its name last, so that it says that all is there."""
    n, (channels, height, width) = len(images), size
    begun, done_path = path.with_suffix(".begun.npy"), path.with_suffix(".done.npy")
    if not (begun.exists() and done_path.exists()):
        _reserve(begun, (n, height, width, channels))
        _reserve(done_path, (n,))
    done = np.load(done_path, mmap_mode="r+")  # (n,)
    rows = np.flatnonzero(done == 0)
    items = [(images.names[row], images.content[row].tobytes(), int(row)) for row in rows]
    work = partial(_decode_rows, images.pictures, begun, _MODES[channels])
    for part, _ in spread(work, items, lambda i, of: progress(n - of + i, n), images.pictures.in_memory):
        done[rows[part]] = 1
        done.flush()
    os.replace(begun, path)
    done_path.unlink()


def _reserve(path: Path, shape: tuple[int, ...]) -> None:
    """A file of zeros that has its place on the disk: a mapped file for which there is none ends the process."""
    make_dir(path.parent)
    try:
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape).flush()
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise storage_error(path, error) from error


def _decode_rows(pictures: Pictures, path: Path, mode: str, items: Items) -> None:
    """Decode some images into their rows of the file; in a worker process."""
    pixels = np.load(path, mmap_mode="r+")  # (n, H, W, C)
    size = pixels.shape[2], pixels.shape[1]
    for name, content_hash, row in items:
        image = _unchanged(pictures, name, content_hash, size)
        fitted = ImageOps.fit(image, size, Image.Resampling.BICUBIC).convert(mode)
        pixels[row] = np.asarray(fitted).reshape(pixels.shape[1:])
    pixels.flush()


def _unchanged(pictures: Pictures, name: str, content_hash: bytes, size: tuple[int, int]) -> Image.Image:
    try:
        content = pictures.content(name)
        if hashlib.sha256(content).digest() == content_hash:
            return pictures.picture(name, content, size).image
    except PictureError as error:
        raise InputError(f"{error}; it has changed since the folder was read: run again") from error
    raise InputError(f"image {name} has changed since the folder was read; run again")
