"""Coloured digits in the wild: a data set in COCO's format, for machines without COCO.

Real handwritten digits, coloured, turned, partly hidden, on textured backgrounds. Every image is a function of (seed,
split, number) and the digits alone, so that a rerun of an interrupted run writes what is missing, and the same bytes
throughout. Annotations carry their true colour in the field `colour`, and the visible part as segmentation.

    DIR/SPLIT/000000.png
    DIR/annotations/instances_SPLIT.json
    DIR/annotations/.parts-SPLIT/             while it is being written
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ....data.digits import Digits, DigitSplits
from ....errors import InputError
from ....files import atomic_path, make_dir, sha256_of, write_atomic
from ..coco.file import CocoFolder
from ..coco.masks import encode_mask
from .scene import CATEGORIES, EVEN, NATURAL, Scene, SceneObject, draw_scene

VERSION = 1
SPLITS = ("train", "validation", "test")
MIN_SIDE, MAX_SIDE = 32, 1024

_PART = 200  # images whose annotations are kept at once
_MAX_OBJECTS = 100  # of an image: annotation ids are its number times this and on

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class DigitSet:
    """Which images: so many of a split, `side` pixels high and wide.

    `even` makes categories and colours equally frequent; else they are as uneven as in COCO. A share of `crowd_share`
    of the images has a region of many small digits that is annotated as a crowd.
    """

    split: str
    n_images: int
    side: int = 96
    seed: int = 0
    even: bool = False
    crowd_share: float = 0.0

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise InputError(f"unknown split {self.split!r}; there are: {', '.join(SPLITS)}")
        if not 1 <= self.n_images <= 10**6:
            raise InputError(f"the number of images must lie within 1 and a million, got {self.n_images}")
        if not MIN_SIDE <= self.side <= MAX_SIDE:
            raise InputError(f"the side must lie within {MIN_SIDE} and {MAX_SIDE} pixels, got {self.side}")
        if self.seed < 0:
            raise InputError(f"a seed must be 0 or more, got {self.seed}")
        if not 0 <= self.crowd_share <= 1:
            raise InputError(f"crowd_share must lie within 0 and 1, got {self.crowd_share}")

    def scene(self, digits: Digits, number: int) -> Scene:
        """Image `number` of the set."""
        rng = np.random.default_rng([self.seed, SPLITS.index(self.split), number])
        return draw_scene(digits, self.side, EVEN if self.even else NATURAL, rng, self.crowd_share)


def write_digit_set(
    root: Path, wanted: DigitSet, splits: DigitSplits, on_progress: OnProgress | None = None
) -> CocoFolder:
    """Write the set below `root`, or what is missing of it.

    Raises `InputError` when `root` holds another set of that split and `StorageError` when it cannot be written.
    """
    folder = CocoFolder(root / wanted.split, root / "annotations" / f"instances_{wanted.split}.json")
    digits: Digits = getattr(splits, wanted.split)
    identity = {**asdict(wanted), "version": VERSION, "digits": _digest(digits)}
    parts = root / "annotations" / f".parts-{wanted.split}"
    _refuse_another(folder, parts, identity)
    if not folder.annotations.exists():
        write_atomic(parts / "set.json", _dump(identity))
    _remove_halves(make_dir(folder.images))
    starts = range(0, wanted.n_images, _PART)
    for start in starts:
        numbers = range(start, min(start + _PART, wanted.n_images))
        _write_part(folder, parts / f"{start:06d}.json", wanted, digits, numbers)
        if on_progress:
            on_progress(numbers.stop, wanted.n_images)
    if not folder.annotations.exists():
        write_atomic(folder.annotations, _merged(parts, starts, identity))
    shutil.rmtree(parts, ignore_errors=True)
    return folder


def _write_part(folder: CocoFolder, part: Path, wanted: DigitSet, digits: Digits, numbers: range) -> None:
    """Some images, then their annotations; nothing when both are there."""
    if folder.annotations.exists() or part.exists():
        numbers_missing = [number for number in numbers if not _image_path(folder, number).exists()]
        for number in numbers_missing:
            _write_image(folder, number, wanted.scene(digits, number))
        return
    rows: dict[str, list[Any]] = {"images": [], "annotations": []}
    for number in numbers:
        scene = wanted.scene(digits, number)
        _write_image(folder, number, scene)
        name = _image_path(folder, number).name
        rows["images"].append({"id": number + 1, "file_name": name, "width": wanted.side, "height": wanted.side})
        rows["annotations"] += [_annotation(number, index, each) for index, each in enumerate(scene.objects)]
    write_atomic(part, _dump(rows))


def _image_path(folder: CocoFolder, number: int) -> Path:
    return folder.images / f"{number:06d}.png"


def _write_image(folder: CocoFolder, number: int, scene: Scene) -> None:
    with atomic_path(_image_path(folder, number)) as temporary:
        Image.fromarray(scene.pixels).save(temporary, format="PNG")


def _annotation(number: int, index: int, each: SceneObject) -> dict[str, Any]:
    rows, columns = (np.flatnonzero(each.mask.any(axis)) for axis in (1, 0))
    left, top = int(columns[0]), int(rows[0])
    return {
        "id": number * _MAX_OBJECTS + index + 1,  # from 1 on: pycocotools' evaluation takes a match with 0 for none
        "image_id": number + 1,
        "category_id": CATEGORIES.index(each.category) + 1,
        "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
        "area": int(each.mask.sum()),
        "segmentation": encode_mask(each.mask),
        "iscrowd": int(each.crowd),
        "colour": each.colour,
    }


def _merged(parts: Path, starts: range, identity: dict[str, Any]) -> bytes:
    read = [json.loads((parts / f"{start:06d}.json").read_bytes()) for start in starts]
    categories = [{"id": index + 1, "name": name, "supercategory": "digit"} for index, name in enumerate(CATEGORIES)]
    return _dump(
        {
            "info": {"description": "coloured digits in the wild", "set": identity},
            "licenses": [],
            "categories": categories,
            "images": [row for part in read for row in part["images"]],
            "annotations": [row for part in read for row in part["annotations"]],
        }
    )


def _refuse_another(folder: CocoFolder, parts: Path, identity: dict[str, Any]) -> None:
    """A folder that holds, or began to hold, other images of this split is left as it is."""
    for path in (folder.annotations, parts / "set.json"):
        if not path.exists():
            continue
        try:
            stored = json.loads(path.read_bytes())
            stored = stored["info"]["set"] if path == folder.annotations else stored
        except (OSError, ValueError, KeyError, TypeError):
            stored = None
        if stored != identity:
            difference = _difference(stored, identity)
            raise InputError(f"{path} is of another set{difference}; choose another folder, or remove it")


def _difference(stored: Any, asked: dict[str, Any]) -> str:
    """Such as " (seed 0, asked for is 3)"; empty for a file that some other program made."""
    if not isinstance(stored, dict):
        return ""
    differing = [key for key, value in asked.items() if stored.get(key) != value]
    said = "; ".join(f"{key} {stored.get(key)}, asked for is {asked[key]}" for key in differing)
    return f" ({said})" if said else ""


def _remove_halves(images: Path) -> None:
    """What a kill in the middle of writing an image left behind."""
    for path in images.glob(".??????.png.*"):
        path.unlink(missing_ok=True)


def _digest(digits: Digits) -> str:
    return sha256_of(digits.images.tobytes() + digits.labels.tobytes())[:16]


def _dump(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()
