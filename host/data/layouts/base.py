"""How labelled images lie on a disk: what a layout is, and what it lists.

Shapes: `n` images, `A` labels of all groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..labels import LabelGroup
from ..left_out import LeftOut
from ..pictures import UprightPicture

SPLITS = ("train", "validation", "test")
NOT_GIVEN = -1
"""In place of the index of a split, where the layout does not say to which split an image belongs."""

_SPELLINGS = {"train": 0, "validation": 1, "val": 1, "valid": 1, "test": 2}

Stamp = tuple[int, int]
"""Bytes and time in nanoseconds of a file, or the like: a picture has not changed while these have not."""


def split_index(text: str) -> int | None:
    """Of "train", "validation", "val", "valid" or "test" in any case; None for another word."""
    return _SPELLINGS.get(text.strip().lower())


class Pictures(Protocol):
    """Where the pictures of a data set are, by name. It travels to worker processes, so it holds no pixels."""

    @property
    def in_memory(self) -> bool:
        """Whether pictures need no decoding, so that processes would only be in the way."""
        ...

    def stamp(self, name: str) -> Stamp:
        """Raises `PictureError` when there is no such picture."""
        ...

    def content(self, name: str) -> bytes:
        """The bytes that make up a picture: where they are equal, so are the pictures. Raises `PictureError`."""
        ...

    def picture(self, name: str, content: bytes, wanted: tuple[int, int]) -> UprightPicture:
        """The picture in `content`; its image may be smaller than it is stored, but not below twice the `wanted` width
        and height. Raises `PictureError`, also for too few or too many pixels."""
        ...


@dataclass(frozen=True, eq=False)
class Listing:
    """Images by `names`, `(n,)`, sorted; which labels each `has` `(n, A)`, and its `split` `(n,)` or `NOT_GIVEN`.

    `left_out` counts all files, and names those that are none of the n.
    """

    root: Path
    pictures: Pictures
    groups: tuple[LabelGroup, ...]
    names: tuple[str, ...]
    has: NDArray[np.bool_]
    split: NDArray[np.int8]
    left_out: LeftOut

    def __post_init__(self) -> None:
        shape = len(self.names), sum(len(group.labels) for group in self.groups)
        if self.has.shape != shape or self.split.shape != shape[:1]:
            found = f"{self.has.shape} and {self.split.shape}"
            raise InputError(f"labels and splits need the shapes {shape} and {shape[:1]}, got {found}")

    def of(self, images: NDArray[np.int64]) -> Listing:
        """Some of the images; `left_out` is the same object."""
        names = tuple(self.names[index] for index in images)
        return Listing(
            self.root, self.pictures, self.groups, names, self.has[images], self.split[images], self.left_out
        )


class Layout(Protocol):
    """A way in which labelled images lie in a folder."""

    @property
    def expected(self) -> str:
        """What it looks like, in half a sentence."""
        ...

    def fits(self, path: Path) -> bool:
        """Whether a folder, or a file, is laid out like this."""
        ...

    def list(self, path: Path) -> Listing:
        """All images and their labels; none is decoded. Raises `InputError`."""
        ...
