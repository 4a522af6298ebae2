"""Mean average precision at an overlap of one half, by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .boxes import MAX_BOXES, Detections

OVERLAP = 0.5


@dataclass(frozen=True)
class Truth:
    """One image's wanted objects, and the regions in which detections count neither way.

    Shapes: boxes `(n, 4)`, their categories' indices `(n,)`, whether they are to be ignored `(n,)`.
    """

    boxes: NDArray[np.float32]
    categories: NDArray[np.int64]
    ignored: NDArray[np.bool_]


def mean_ap(truths: Sequence[Truth], detections: Sequence[Detections], categories: Sequence[int]) -> float:
    """Over those of the categories that the truths have at least one object of; NaN when there is none at all."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints what it does
        truth = COCO()
        truth.dataset = _dataset(truths, categories)
        truth.createIndex()
        results = [row for image, each in enumerate(detections, 1) for row in _results(image, each)]
        judged = COCOeval(truth, _predicted(COCO(), truth.dataset, results), "bbox")
        judged.params.iouThrs = np.array([OVERLAP])
        judged.params.areaRng, judged.params.areaRngLbl = [[0, 1e10]], ["all"]
        judged.params.maxDets = [MAX_BOXES]
        judged.evaluate()
        judged.accumulate()
    precision = judged.eval["precision"]  # (1, 101, K, 1, 1): -1 where a category has no object
    known = precision[precision > -1]
    return float(known.mean()) if known.size else float("nan")


def _predicted(empty: Any, dataset: dict[str, Any], results: list[dict[str, Any]]) -> Any:
    """The results as the data set that COCOeval wants; COCO's own `loadRes` refuses an empty list."""
    empty.dataset = {"images": dataset["images"], "categories": dataset["categories"], "annotations": results}
    empty.createIndex()
    return empty


def _dataset(truths: Sequence[Truth], categories: Sequence[int]) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for image, truth in enumerate(truths, 1):
        for box, category, ignored in zip(truth.boxes, truth.categories, truth.ignored, strict=True):
            rows.append(_row(image, len(rows) + 1, box, category) | {"iscrowd": int(ignored), "ignore": int(ignored)})
    return {
        "images": [{"id": image} for image in range(1, len(truths) + 1)],
        "categories": [{"id": int(index)} for index in categories],
        "annotations": rows,
    }


def _results(image: int, detections: Detections) -> list[dict[str, Any]]:
    parts = zip(detections.boxes, detections.categories, detections.scores, strict=True)
    return [
        _row(image, image * (MAX_BOXES + 1) + index, box, category) | {"score": float(score)}
        for index, (box, category, score) in enumerate(parts)
    ]


def _row(image: int, number: int, box: NDArray[np.float32], category: int) -> dict[str, Any]:
    x0, y0, x1, y1 = (float(value) for value in box)
    area = (x1 - x0) * (y1 - y0)
    return {
        "id": number, "image_id": image, "category_id": int(category), "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": area, "iscrowd": 0,
    }  # fmt: skip
