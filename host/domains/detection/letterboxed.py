"""A detection data set as arrays: letterboxed images of one size in a mapped file, boxes and attributes beside them.

Shapes: `N` images of `(3, S, S)`, at most `M` objects each; unused rows have category -1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...data.left_out import LeftOut
from ...data.pictures import PictureError
from ...errors import InputError
from ...files import atomic_path, write_atomic
from .attrod import COLOURS, Query
from .coco.file import DetectionSet
from .letterbox import letterboxed_boxes, load_letterboxed

OnProgress = Callable[[int, int], None]
VERSION = 3


@dataclass(frozen=True)
class LetterboxedImages:
    """Images `(N, 3, S, S)` uint8: the rows `rows` `(N,)` of `pixels`, a mapped file, so that a set may be larger than
    memory. `boxes` are `(N, M, 4)`, in letterboxed pixels; `category` `(N, M)` indexes `categories`, `colour`
    `(N, M)` the colours of `attrod`, the number after them meaning none; `crowd` `(N, M)` marks regions to ignore."""

    categories: tuple[str, ...]
    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    boxes: NDArray[np.float32]
    category: NDArray[np.int64]
    colour: NDArray[np.int64]
    crowd: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def side(self) -> int:
        return int(self.pixels.shape[-1])

    def of(self, images: NDArray[np.int64]) -> LetterboxedImages:
        """Some of the images, in memory."""
        return LetterboxedImages(
            self.categories, self.pixels[self.rows[images]], np.arange(len(images)), self.boxes[images],
            self.category[images], self.colour[images], self.crowd[images],
        )  # fmt: skip

    def wanted(self, query: Query) -> NDArray[np.bool_]:
        """Which objects a task asks for, `(N, M)`."""
        return self.fits(query) & ~self.crowd

    def ignored(self, query: Query) -> NDArray[np.bool_]:
        """Which regions count neither for nor against, `(N, M)`."""
        names = [self.categories.index(name) for name in query.categories]
        return np.isin(self.category, names) & self.crowd

    def fits(self, query: Query) -> NDArray[np.bool_]:
        names = [self.categories.index(name) for name in query.categories]
        of_category = np.isin(self.category, names)
        return of_category & np.isin(self.colour, colour_indices(query.colours)) if query.colours else of_category


def colour_indices(colours: Collection[str]) -> list[int]:
    return [index for index, name in enumerate(COLOURS) if name in colours]


def load_images(
    dataset: DetectionSet, side: int, cache: Path, on_progress: OnProgress | None = None
) -> LetterboxedImages:
    """The set at `side` pixels; images are decoded once, into a file of the folder `cache`.

    Images that cannot be read are left out. Raises `InputError` when too many are, or there is none, and
    `StorageError` where the file cannot be written.
    """
    if not dataset.images:
        raise InputError(f"there is no image to learn from or to be judged by: {dataset.left_out.where} holds none")
    path = cache / f"{_digest(dataset, side)}.npy"
    if not (path.exists() and _beside(path).exists()):
        _write_pixels(dataset, side, path, on_progress)
    unreadable = set(json.loads(_beside(path).read_bytes()))
    kept = [row for row in range(len(dataset.images)) if row not in unreadable]
    readable = replace(dataset, images=tuple(dataset.images[row] for row in kept))
    pixels, rows = np.load(path, mmap_mode="r"), np.array(kept, np.int64)
    return LetterboxedImages(dataset.categories, pixels, rows, *_objects(readable, side))


def _beside(path: Path) -> Path:
    """Which rows of a file of pixels could not be read."""
    return path.with_suffix(".unreadable.json")


def _write_pixels(dataset: DetectionSet, side: int, path: Path, on_progress: OnProgress | None) -> None:
    """The pixels' file comes last, so that it says that all is there."""
    damaged = LeftOut(len(dataset.images), dataset.left_out.where)
    with atomic_path(path) as temporary:
        shape = (len(dataset.images), 3, side, side)
        pixels = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        unreadable: list[int] = []
        for index, image in enumerate(dataset.images):
            try:
                pixels[index] = load_letterboxed(image, side).pixels
            except PictureError as error:
                damaged.add(image.path.name, error.reason)
                unreadable.append(index)
            if on_progress and (index + 1) % 100 == 0:
                on_progress(index + 1, len(dataset.images))
        damaged.check()
        write_atomic(_beside(path), json.dumps(unreadable).encode())
        pixels.flush()


def _objects(
    dataset: DetectionSet, side: int
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    shape = len(dataset.images), max((len(image.objects) for image in dataset.images), default=0) or 1
    boxes, crowd = np.zeros((*shape, 4), np.float32), np.zeros(shape, bool)
    category, colour = np.full(shape, -1), np.full(shape, len(COLOURS))
    for row, image in enumerate(dataset.images):
        boxes[row, : len(image.objects)] = letterboxed_boxes(image, side)
        for column, each in enumerate(image.objects):
            category[row, column] = dataset.categories.index(each.category)
            crowd[row, column] = each.crowd
            if each.colour is not None:
                colour[row, column] = COLOURS.index(each.colour)
    return boxes, category, colour, crowd


def _digest(dataset: DetectionSet, side: int) -> str:
    """The digest of what the pixels depend on: the files, their order and their current state."""
    hasher = hashlib.sha256(f"{VERSION} {side}".encode())
    for image in dataset.images:
        state = image.path.stat()
        hasher.update(f"{image.path} {state.st_size} {state.st_mtime_ns}\n".encode())
    return hasher.hexdigest()[:24]
