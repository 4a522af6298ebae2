"""Tasks that are questions: examples with right answers, and readers of models that answer. Shared by several kinds.

Shapes: `B` images of `(C, H, W)`, `K` answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data.pictures import read_picture
from ..errors import InputError
from ..tasks.domain import ACCURACY, ScoreName
from .protocol import RunModel
from .sheet import write_sheet


@dataclass(frozen=True)
class AnswerExamples:
    """Images `(B, C, H, W)` float32 and the indices of their right answers `(B,)`; outputs are logits `(B, K)`."""

    images: NDArray[np.float32]
    answers: NDArray[np.int64]
    score_name: ScoreName = ACCURACY

    def score(self, outputs: NDArray[np.float32]) -> float:
        """The share of right answers."""
        return float((outputs.argmax(1) == self.answers).mean())

    def agreement(self, one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
        """The share of equal answers."""
        return float((one.argmax(1) == other.argmax(1)).mean())


@dataclass(frozen=True)
class Answered:
    """What a model answers about an image, and how sure it is: the answer's probability."""

    image: Path
    answer: str
    probability: float
    rows: ClassVar[tuple[()]] = ()

    @property
    def sentence(self) -> str:
        return f"{self.answer} ({self.probability:.1%})"

    def to_json(self) -> dict[str, Any]:
        return {"image": str(self.image), "answer": self.answer, "probability": round(self.probability, 4)}

    def draw(self, path: Path) -> None:
        raise InputError(f"an answer cannot be drawn; {path} is not written")


Fitted = Callable[[Image.Image, tuple[int, int]], Image.Image]
"""Gives a picture the width and height that a model takes."""


def stretched(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image.resize(size, Image.Resampling.BILINEAR)


@dataclass(frozen=True)
class AnswerReader:
    """Reads a model that answers a question about a picture of `image_shape` `(C, H, W)`, values in [0, 1]; pictures of
    another size are `fitted`."""

    answers: tuple[str, ...]
    image_shape: tuple[int, int, int]
    fitted: Fitted = stretched
    draws: ClassVar[bool] = False
    draws_sheets: ClassVar[bool] = True

    @classmethod
    def of(
        cls, outputs: Any, image_shape: tuple[int, int, int], key: str = "answers", fitted: Fitted = stretched
    ) -> AnswerReader:
        """Of the answers in a manifest. Raises `KeyError`, `TypeError` or `ValueError` where they are not there."""
        answers = tuple(outputs[key])
        if len(answers) < 2:
            raise ValueError(f"{key} {list(answers)}")
        return cls(answers, image_shape, fitted)

    def predict(self, images: Sequence[Path], run: RunModel, min_score: float) -> list[Answered]:
        """Every picture has an answer, whatever `min_score` is."""
        outputs = run(np.stack([self._input(path) for path in images]))  # (B, K)
        if outputs.shape != (len(images), len(self.answers)):
            known = ", ".join(self.answers)
            raise InputError(
                f"outputs of shape {outputs.shape} are not the answers {known} to images; make the model again with: "
                "edgewright customize"
            )
        odds = np.exp(outputs - outputs.max(1, keepdims=True))
        sure = odds / odds.sum(1, keepdims=True)  # (B, K)
        return [
            Answered(path, self.answers[best], float(row[best]))
            for path, row, best in zip(images, sure, sure.argmax(1), strict=True)
        ]

    def draw_sheet(self, predictions: Sequence[Answered], path: Path) -> None:
        """The pictures side by side, each over its answer. Raises `StorageError`."""
        write_sheet(path, [(each.image, each.sentence) for each in predictions])

    def _input(self, path: Path) -> NDArray[np.float32]:
        """`(C, H, W)` in [0, 1]; grey where there is one channel."""
        channels, height, width = self.image_shape
        picture = read_picture(path, "L" if channels == 1 else "RGB")
        if picture.shape[:2] != (height, width):
            picture = np.asarray(self.fitted(Image.fromarray(picture), (width, height)))
        planes = picture[None] if channels == 1 else picture.transpose(2, 0, 1)  # (C, H, W)
        return planes.astype(np.float32) / np.float32(255)
