"""How a delivered model's outputs are read: boxes or answers, by what its domain wrote into the manifest.

Shapes: `B` images, `H W` of a picture, `S` a model's side, `L` places, `K` categories, `n` boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data.pictures import SquareImage, read_picture, squared
from ..errors import InputError
from .detection.boxes import Detections, Grid, decode
from .numvqa.domain import IMAGE_SIZE

REMEDY = "make the model again with: edgewright customize"

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""A model: inputs `(B, C, S, S)` to outputs `(B, ...)`."""


@dataclass(frozen=True)
class FoundBox:
    """An object: x0, y0, x1, y1 in pixels of the upright picture; `index` is its category's."""

    category: str
    score: float
    box: tuple[float, float, float, float]
    index: int

    def to_json(self) -> dict[str, Any]:
        return {
            "category": self.category,
            "score": round(self.score, 4),
            "box": [round(value, 2) for value in self.box],
        }


@dataclass(frozen=True)
class Detected:
    """What a detector found on an image, the surest first, and the picture `(H, W, 3)` it looked at."""

    image: Path
    picture: NDArray[np.uint8]
    boxes: tuple[FoundBox, ...]

    def to_json(self) -> dict[str, Any]:
        return {"image": str(self.image), "boxes": [each.to_json() for each in self.boxes]}


@dataclass(frozen=True)
class Answered:
    """What a model answers about an image, and how sure it is: the answer's probability."""

    image: Path
    answer: str
    probability: float

    def to_json(self) -> dict[str, Any]:
        return {"image": str(self.image), "answer": self.answer, "probability": round(self.probability, 4)}


@dataclass(frozen=True)
class BoxReader:
    """Reads a detector: of scores for `categories` those `asked` for, at the places of `grid`."""

    categories: tuple[str, ...]
    asked: tuple[int, ...]
    grid: Grid
    draws: ClassVar[bool] = True  # there is something to be drawn on a picture

    @classmethod
    def of(cls, outputs: Any) -> BoxReader:
        """Raises `KeyError`, `TypeError` or `ValueError` for what `AttrOd.describe` does not give."""
        categories, asked = tuple(outputs["categories"]), tuple(outputs["asked"])
        if not asked or not all(0 <= index < len(categories) for index in asked):
            raise ValueError(f"asked {list(asked)} of {len(categories)} categories")
        return cls(categories, asked, Grid(outputs["side"], tuple(outputs["strides"])))

    def predict(self, images: Sequence[Path], run: Run, min_score: float) -> list[Detected]:
        pictures = [read_picture(path) for path in images]
        squares = [squared(picture, self.grid.side) for picture in pictures]
        outputs = run(np.stack([each.pixels for each in squares]).astype(np.float32) / np.float32(255))  # (B, L, 4 + K)
        found = zip(images, pictures, squares, decode(outputs, self.grid, self.asked, min_score), strict=True)
        return [
            Detected(path, picture, tuple(self._boxes(picture, square, each)))
            for path, picture, square, each in found
        ]

    def _boxes(self, picture: NDArray[np.uint8], square: SquareImage, found: Detections) -> Iterator[FoundBox]:
        """In the picture; what lies in the grey beside it is no object."""
        height, width = picture.shape[:2]
        boxes = square.to_file(found.boxes).clip(0, [width, height, width, height])  # (n, 4)
        for (x0, y0, x1, y1), score, index in zip(boxes.tolist(), found.scores, found.categories, strict=True):
            if x1 > x0 and y1 > y0:
                yield FoundBox(self.categories[index], float(score), (x0, y0, x1, y1), int(index))


@dataclass(frozen=True)
class AnswerReader:
    """Reads a model that answers a question about a grey picture with one of some answers."""

    answers: tuple[str, ...]
    draws: ClassVar[bool] = False

    @classmethod
    def of(cls, outputs: Any) -> AnswerReader:
        """Raises `KeyError`, `TypeError` or `ValueError` for what `NumVqa.describe` does not give."""
        answers = tuple(outputs["answers"])
        if len(answers) < 2:
            raise ValueError(f"answers {list(answers)}")
        return cls(answers)

    def predict(self, images: Sequence[Path], run: Run, min_score: float) -> list[Answered]:
        """Every picture has an answer, whatever `min_score` is."""
        outputs = run(np.stack([_grey_input(path) for path in images]))  # (B, answers)
        if outputs.shape != (len(images), len(self.answers)):
            known = ", ".join(self.answers)
            raise InputError(f"outputs of shape {outputs.shape} are not the answers {known} to images; {REMEDY}")
        odds = np.exp(outputs - outputs.max(1, keepdims=True))
        sure = odds / odds.sum(1, keepdims=True)  # (B, answers)
        return [
            Answered(path, self.answers[best], float(row[best]))
            for path, row, best in zip(images, sure, sure.argmax(1), strict=True)
        ]


READERS: dict[str, type[BoxReader] | type[AnswerReader]] = {"attrod": BoxReader, "numvqa": AnswerReader}
"""By the domain's name."""


def _grey_input(path: Path) -> NDArray[np.float32]:
    """`(1, 56, 56)` in [0, 1]."""
    grey = read_picture(path, "L")
    if grey.shape != (IMAGE_SIZE, IMAGE_SIZE):
        grey = np.asarray(Image.fromarray(grey).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR))
    return grey[None].astype(np.float32) / np.float32(255)
