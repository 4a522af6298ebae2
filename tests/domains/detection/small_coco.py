"""A small folder in COCO's format with everything that real ones have: crowds, empty images, damaged files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from edgewright.domains.detection.coco.file import CocoFolder
from edgewright.domains.detection.coco.masks import encode_mask
from PIL import Image

SPLIT = "val2017"
WIDTH, HEIGHT = 64, 48
N_IMAGES = 24
RED, WHITE, GREEN, BLACK, BLUE = (200, 20, 40), (250, 250, 250), (40, 170, 40), (20, 20, 20), (40, 60, 220)
CATEGORIES = {"person": 1, "bicycle": 2, "car": 3, "motorcycle": 4, "dog": 18}


def write_small_coco(root: Path) -> CocoFolder:
    """Image 1 has a red car and a white person, 2 a crowd and a green bicycle, 3 nothing, 4 is cut short, 5 not there,
    6 has boxes without area and a blue car, 7 a dog, each of the others a black motorcycle."""
    images, annotations = root / SPLIT, root / "annotations"
    for folder in (images / "more", annotations):
        folder.mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    for number in range(1, N_IMAGES + 1):
        picture = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
        found = _objects(number, picture)
        rows += [{"id": number * 10 + index, "image_id": number, **each} for index, each in enumerate(found)]
        if number != 5:
            Image.fromarray(picture).save(images / name(number), quality=95)
    whole = (images / name(4)).read_bytes()
    (images / name(4)).write_bytes(whole[: len(whole) // 2])
    data = {
        "info": {},
        "categories": [{"id": number, "name": kind} for kind, number in CATEGORIES.items()],
        "images": [
            {"id": number, "file_name": name(number), "width": WIDTH, "height": HEIGHT}
            for number in range(1, N_IMAGES + 1)
        ],
        "annotations": rows,
    }
    coco_folder = CocoFolder(images, annotations / f"instances_{SPLIT}.json")
    coco_folder.annotations.write_text(json.dumps(data))
    return coco_folder


def name(number: int) -> str:
    return f"more/{number:012d}.png" if number == 7 else f"{number:012d}.jpg"


def change(coco_folder: CocoFolder, **changes: Any) -> None:
    """Replace lists of the annotation file."""
    data = json.loads(coco_folder.annotations.read_bytes())
    coco_folder.annotations.write_text(json.dumps(data | changes))


def _objects(number: int, picture: np.ndarray) -> list[dict[str, Any]]:
    """Paint an image's objects, and annotate them in all of COCO's ways."""
    if number == 1:
        picture[8:20, 4:24], picture[24:44, 40:50] = RED, WHITE
        return [
            _row("car", 4, 8, 20, 12, segmentation=[[4, 8, 24, 8, 24, 20, 4, 20]]),
            _row("person", 40, 24, 10, 20, segmentation=_runs(picture, WHITE)),
        ]
    if number == 2:
        picture[30:40, 10:30] = GREEN
        crowd = _row("person", 32, 2, 30, 20, iscrowd=1, segmentation={"size": [HEIGHT, WIDTH], "counts": [0, 3072]})
        return [crowd, _row("bicycle", 10, 30, 20, 10)]
    if number == 6:
        picture[10:30, 10:40] = BLUE
        flat, nowhere = _row("car", 5, 5, 0, 10), _row("car", float("nan"), 5, 10, 10)
        return [flat, _row("car", 10, 10, 30, 20, segmentation=[]), nowhere]
    if number in (4, 5):
        return [_row("car", 1, 1, 20, 20)]
    if number == 7:
        return [_row("dog", 3, 3, 10, 10)]
    if number > 7:
        picture[5:25, 5:45] = BLACK
        mask = (picture == BLACK).all(2)
        return [_row("motorcycle", 5, 5, 40, 20, segmentation=encode_mask(mask))]
    return []


def _row(category: str, x: float, y: float, width: float, height: float, **more: Any) -> dict[str, Any]:
    return {"category_id": CATEGORIES[category], "bbox": [x, y, width, height], "iscrowd": 0, **more}


def _runs(picture: np.ndarray, colour: tuple[int, int, int]) -> dict[str, Any]:
    """Where the picture has this colour, as plain run lengths down the columns."""
    flat = (picture == colour).all(2).T.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=False, append=False))
    return {"size": [HEIGHT, WIDTH], "counts": np.diff(edges, prepend=0, append=flat.size).tolist()}
