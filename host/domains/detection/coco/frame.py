"""The frame that an image's boxes are written in, and how it becomes upright.

Phones store photographs as their sensor lies, with an EXIF orientation by which viewers turn them. Some tools write
boxes for the stored pixels and some for the upright picture; the size they declare tells which.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....data.pictures import Geometry, turned_size
from ..objects import Box

_MIRRORED_ACROSS, _MIRRORED_DOWN, _TRANSPOSED = {2, 3, 7, 8}, {3, 4, 6, 7}, {5, 6, 7, 8}
"""What each EXIF orientation asks for: to mirror left and right, up and down, and then to exchange the axes."""


@dataclass(frozen=True)
class Frame:
    """`width` and `height` are in pixels; `turn` is the EXIF orientation that makes the frame upright, 1 for none."""

    width: int
    height: int
    turn: int = 1

    @classmethod
    def of(cls, declared: tuple[int, int] | None, stored: Geometry) -> Frame | None:
        """The frame of boxes whose annotation file declares an image's width and height, or None for neither.

        The stored size means the stored pixels, unless it is the upright one too. The upright size, none, or one with
        width and height swapped mean the upright picture: what viewers, and annotation tools, show. None for any other
        size: nobody knows then where the boxes are.
        """
        upright = stored.upright_size
        if declared in (None, upright):
            return cls(*upright)
        if declared == stored.size:
            return cls(*stored.size, stored.orientation)
        return cls(*upright) if declared == upright[::-1] else None

    @property
    def upright_size(self) -> tuple[int, int]:
        return turned_size((self.width, self.height), self.turn)

    def upright_box(self, box: Box) -> Box:
        x0, y0, x1, y1 = box
        if self.turn in _MIRRORED_ACROSS:
            x0, x1 = self.width - x1, self.width - x0
        if self.turn in _MIRRORED_DOWN:
            y0, y1 = self.height - y1, self.height - y0
        return (y0, x0, y1, x1) if self.turn in _TRANSPOSED else (x0, y0, x1, y1)

    def upright_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask `(height, width)` of the frame, turned to the upright picture's `(H, W)`."""
        if self.turn in _MIRRORED_ACROSS:
            mask = mask[:, ::-1]
        if self.turn in _MIRRORED_DOWN:
            mask = mask[::-1]
        return mask.T if self.turn in _TRANSPOSED else mask
