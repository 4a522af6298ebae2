"""A delivered model at work: images in, boxes or answers out. The device computes, the host reads its outputs.

Shapes: `B` images, `H W` of a picture, `S` a model's side, `L` places, `K` categories, `n` boxes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..devices.session import MeasureJob
from ..errors import InputError, MeasurementError
from ..files import sha256_of
from ..tasks.boxes import Detections, Grid, decode
from ..tasks.numvqa import IMAGE_SIZE
from ..tasks.pictures import SquareImage, check_picture, read_picture, squared
from .artifact import MANIFEST_SUFFIX

MIN_SCORE = 0.3
_AT_ONCE = 32  # pictures in memory
_REMEDY = "make the model again with: edgewright customize"

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""A model: inputs `(B, C, S, S)` to outputs `(B, ...)`."""


class RunningSession(Protocol):
    """What predicting needs of a device."""

    device_name: str

    def put_blob(self, data: bytes) -> str: ...

    def run(self, job: MeasureJob, inputs: NDArray[np.float32]) -> NDArray[np.float32]: ...


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
            raise InputError(f"outputs of shape {outputs.shape} are not the answers {known} to images; {_REMEDY}")
        odds = np.exp(outputs - outputs.max(1, keepdims=True))
        sure = odds / odds.sum(1, keepdims=True)  # (B, answers)
        return [
            Answered(path, self.answers[best], float(row[best]))
            for path, row, best in zip(images, sure, sure.argmax(1), strict=True)
        ]


_READERS: dict[str, type[BoxReader] | type[AnswerReader]] = {"attrod": BoxReader, "numvqa": AnswerReader}


@dataclass(frozen=True)
class DeliveredModel:
    """A model file and how its manifest says to read it."""

    path: Path
    content: bytes
    task: str
    reader: BoxReader | AnswerReader

    @classmethod
    def read(cls, path: Path) -> DeliveredModel:
        """Raises `InputError` where the model or the manifest beside it is missing, or the two do not go together."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read model {path}: {error.strerror or error}; check the path") from error
        place = path.with_name(path.name + MANIFEST_SUFFIX)
        manifest = _read_manifest(place)
        outputs = manifest.get("outputs")
        if not isinstance(outputs, dict):
            raise InputError(f'{place} does not say how to read the model ("outputs" is missing); {_REMEDY}')
        _check_belongs(path, content, place, manifest)
        return cls(path, content, str(manifest.get("task", "")), _reader(place, outputs))


def check_images(images: Sequence[Path]) -> None:
    """Raises `InputError` for what is no image, before anything is done with the others."""
    for path in images:
        check_picture(path)


def predict_each(
    model: DeliveredModel, images: Sequence[Path], session: RunningSession, min_score: float = MIN_SCORE
) -> Iterator[Detected | Answered]:
    """What the model says about each image, in their order; computed on the session's device.

    Raises:
        InputError: an image cannot be read, a `min_score` beyond 0 and 1, outputs that are not as the manifest says.
        MeasurementError: the model does not run there, or computes no numbers.
    """
    if not 0 <= min_score < 1:
        raise InputError(f"the least score must lie within 0 and 1, such as {MIN_SCORE}; got {min_score}")
    job = MeasureJob(model_sha=session.put_blob(model.content))

    def run(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        outputs = session.run(job, inputs)
        if not np.isfinite(outputs).all():
            raise MeasurementError(
                f"{model.path} gives no finite numbers on {session.device_name!r}; its runtime computes this model "
                "wrongly: try another runtime version"
            )
        return outputs

    for start in range(0, len(images), _AT_ONCE):
        yield from model.reader.predict(images[start : start + _AT_ONCE], run, min_score)


def _read_manifest(place: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(place.read_bytes())
    except FileNotFoundError as error:
        raise InputError(
            f"no manifest {place}, which says how to read the model; copy it there from where the model was made"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read manifest {place}: {error.strerror or error}; check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"manifest {place} is not a JSON file ({error}); copy it again, with its model") from error
    if not isinstance(manifest, dict):
        raise InputError(f"{place} is no manifest of a model; copy the right one there, or {_REMEDY}")
    return manifest


def _check_belongs(path: Path, content: bytes, place: Path, manifest: dict[str, Any]) -> None:
    hashes = manifest.get("hashes")
    told, found = hashes.get("model_sha256") if isinstance(hashes, dict) else None, sha256_of(content)
    if told != found:
        raise InputError(
            f"{path} is not the model that {place} describes (sha256 {found[:12]}, the manifest says "
            f"{str(told)[:12]}); copy both again from where the model was made"
        )


def _reader(place: Path, outputs: dict[str, Any]) -> BoxReader | AnswerReader:
    name = outputs.get("name")
    if not isinstance(name, str) or name not in _READERS:
        raise InputError(
            f"{place} is of the task domain {name!r}, of which this version knows nothing; it reads: "
            f"{', '.join(_READERS)}"
        )
    try:
        return _READERS[name].of(outputs)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(f'the "outputs" of {place} cannot be used ({reason}); {_REMEDY}') from error


def _grey_input(path: Path) -> NDArray[np.float32]:
    """`(1, 56, 56)` in [0, 1]."""
    grey = read_picture(path, "L")
    if grey.shape != (IMAGE_SIZE, IMAGE_SIZE):
        grey = np.asarray(Image.fromarray(grey).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR))
    return grey[None].astype(np.float32) / np.float32(255)
