"""An image and the objects on it, as detection sees them, whatever format they were read from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels."""


@dataclass(frozen=True)
class DetectionObject:
    """An annotated object, or with `crowd` a region of many that nobody told apart: to be ignored, never to be found.

    `box` is x0, y0, x1, y1 in pixels of the upright image. `colour` is a group of `attrod`, or None for none of them.
    """

    category: str
    box: Box
    colour: str | None
    crowd: bool = False


@dataclass(frozen=True)
class DetectionImage:
    """An image file and what is on it, which may be nothing; `width` and `height` are those of the upright picture."""

    path: Path
    width: int
    height: int
    objects: tuple[DetectionObject, ...]
