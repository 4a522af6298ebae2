"""How a delivered detector's outputs are read: boxes on a picture.

Shapes: `B` images, `H W` of a picture, `S` a model's side, `L` anchor points, `K` categories, `n` boxes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...data.pictures import read_picture
from ...wording import counted
from ..protocol import RunModel
from .boxes import Detections, Grid, decode
from .drawing import LabelledBox, draw_boxes, write_png
from .letterbox import Letterboxed, letterbox


@dataclass(frozen=True)
class FoundBox:
    """An object: x0, y0, x1, y1 in pixels of the upright picture; `index` is its category's."""

    category: str
    score: float
    box: tuple[float, float, float, float]
    index: int

    @property
    def cells(self) -> list[str]:
        return [self.category, f"{self.score:.2f}", *(f"{value:.1f}" for value in self.box)]

    def to_json(self) -> dict[str, Any]:
        return {
            "category": self.category,
            "score": round(self.score, 4),
            "box": [round(value, 2) for value in self.box],
        }


@dataclass(frozen=True)
class Detected:
    """What a detector found in an image, the most certain first, and the picture `(H, W, 3)` it was given."""

    image: Path
    picture: NDArray[np.uint8]
    boxes: tuple[FoundBox, ...]
    min_score: float

    @property
    def sentence(self) -> str:
        n = len(self.boxes)
        return counted(n, "object", "objects") if n else f"nothing with a score above {self.min_score:g}"

    @property
    def rows(self) -> list[list[str]]:
        if not self.boxes:
            return []
        return [["category", "score", "x0", "y0", "x1", "y1"], *(each.cells for each in self.boxes)]

    def to_json(self) -> dict[str, Any]:
        return {"image": str(self.image), "boxes": [each.to_json() for each in self.boxes]}

    def draw(self, path: Path) -> None:
        """Raises `StorageError`."""
        labelled = [LabelledBox(each.box, f"{each.category} {each.score:.2f}", each.index) for each in self.boxes]
        write_png(path, draw_boxes(self.picture, labelled))


@dataclass(frozen=True)
class BoxReader:
    """Reads a detector: its scores for the categories `asked`, at the anchor points of `grid`."""

    categories: tuple[str, ...]
    asked: tuple[int, ...]
    grid: Grid
    draws: ClassVar[bool] = True  # there is something to be drawn on a picture
    draws_sheets: ClassVar[bool] = False

    @classmethod
    def of(cls, outputs: Any) -> BoxReader:
        """Raises `KeyError`, `TypeError` or `ValueError` for what `AttrOd.describe` does not give."""
        categories, asked = tuple(outputs["categories"]), tuple(outputs["asked"])
        if not asked or not all(0 <= index < len(categories) for index in asked):
            raise ValueError(f"asked {list(asked)} of {len(categories)} categories")
        return cls(categories, asked, Grid(outputs["side"], tuple(outputs["strides"])))

    def predict(self, images: Sequence[Path], run: RunModel, min_score: float) -> list[Detected]:
        pictures = [read_picture(path) for path in images]
        inputs = [letterbox(picture, self.grid.side) for picture in pictures]
        outputs = run(np.stack([each.pixels for each in inputs]).astype(np.float32) / np.float32(255))  # (B, L, 4 + K)
        seen = zip(images, pictures, inputs, decode(outputs, self.grid, self.asked, min_score), strict=True)
        return [
            Detected(path, picture, tuple(self._boxes(picture, letterboxed, each)), min_score)
            for path, picture, letterboxed, each in seen
        ]

    def _boxes(self, picture: NDArray[np.uint8], letterboxed: Letterboxed, seen: Detections) -> Iterator[FoundBox]:
        """In the picture; what lies in the grey beside it is not an object."""
        height, width = picture.shape[:2]
        boxes = letterboxed.to_file(seen.boxes).clip(0, [width, height, width, height])  # (n, 4)
        for (x0, y0, x1, y1), score, index in zip(boxes.tolist(), seen.scores, seen.categories, strict=True):
            if x1 > x0 and y1 > y0:
                yield FoundBox(self.categories[index], float(score), (x0, y0, x1, y1), int(index))
