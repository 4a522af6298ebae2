"""The domain that a recipe or a trained supernet names, over the user's data or what comes along."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..data.digits import load_digits
from ..errors import InputError
from ..supernet.backbones import Backbone
from ..tasks.attributes import AttributeSpace, Task
from ..tasks.domain import Split, TaskDomain
from .detection import attrod
from .detection.attrod import DIGIT_CATEGORIES
from .detection.boxes import Grid
from .detection.coco.file import CocoFile, CocoFolder, DetectionSet, detection_set, splits
from .detection.colours.cache import annotated_set
from .detection.colours.pixels import PixelColours
from .detection.domain import AttrOd, grid_of
from .detection.letterboxed import Squares, load_squares
from .detection.scenes.digit_set import DigitSet, write_digit_set
from .numvqa import domain as numvqa
from .numvqa.domain import NumVqa

DIGIT_SETS = {"train": 12_000, "validation": 1_000, "test": 2_000}
_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "train2017"),
    "validation": ("validation",),
    "test": ("test", "val2017", "val"),
}
_VALIDATION_SHARE = 20  # one training image in twenty, where there is no split for validation


@dataclass(frozen=True)
class DataPlaces:
    """Where data lie: torchvision's MNIST or None for the digits that come along; a folder in COCO's format or None
    for generated coloured digits; and the folders for what is made of them once: `generated` images, `squares` of
    decoded ones, and `colours` that were found."""

    mnist: Path | None
    coco: Path | None
    generated: Path
    squares: Path
    colours: Path
    say: Callable[[str], None] = lambda sentence: None
    progress: Callable[[str, int, int], None] = lambda what, done, total: None


def open_domain(name: str, categories: Sequence[str], backbone: Backbone, places: DataPlaces) -> TaskDomain:
    """Raises `InputError` where the data are not there or lack a category.

    Without `categories` they are those of the data.
    """
    if name == "numvqa":
        if places.coco is not None:
            raise InputError("--data is for detection; NumVQA's images are made of digits (--mnist-dir)")
        return NumVqa(load_digits(places.mnist))
    if name != "attrod":
        raise InputError(f"this version knows nothing of the task domain {name!r}; update edgewright")
    grid = grid_of(backbone)
    if places.coco is not None:
        return _of_folder(places.coco, categories, grid, places)
    if set(categories or DIGIT_CATEGORIES) != set(DIGIT_CATEGORIES):
        raise InputError(f"--data DIR is needed: a folder in COCO's format with {', '.join(categories)}")
    return _of_digits(categories or DIGIT_CATEGORIES, grid, places)


def tasks_of(name: str, space: AttributeSpace) -> tuple[Task, ...]:
    """A domain's tasks, for what needs no data."""
    return numvqa.TASKS if name == "numvqa" else attrod.tasks(space)


def _of_folder(root: Path, categories: Sequence[str], grid: Grid, places: DataPlaces) -> AttrOd:
    if not splits(root):
        raise InputError(
            f"--data {root} is no data set: it has no annotations/instances_*.json beside its folders of images; name "
            "the folder that COCO's archives were unpacked in"
        )
    found = categories or CocoFile.read(_folder(root, "train")).categories

    def load(split: Split) -> Squares:
        places.say(f"reading the {split} images of {root}")
        return load_squares(_detection_set(root, split, found, places), grid.side, places.squares, _tell(places, split))

    return AttrOd(tuple(found), grid, load, str(root))


def _of_digits(categories: Sequence[str], grid: Grid, places: DataPlaces) -> AttrOd:
    """Generated images of the grid's own side, written when they are first needed."""
    root = places.generated / f"coloured-digits-{grid.side}"

    def load(split: Split) -> Squares:
        wanted = DigitSet(split, DIGIT_SETS[split], grid.side, even=split != "train")
        if not CocoFolder(root / split, root / "annotations" / f"instances_{split}.json").annotations.exists():
            places.say(f"making {wanted.n_images:,} images of coloured digits in {root}, once")
        tell = _tell(places, split)
        folder = write_digit_set(root, wanted, load_digits(places.mnist), tell)
        return load_squares(detection_set(CocoFile.read(folder, categories)), grid.side, places.squares, tell)

    return AttrOd(tuple(categories), grid, load, "generated coloured digits")


def _tell(places: DataPlaces, split: Split) -> Callable[[int, int], None]:
    return lambda done, total: places.progress(f"{split} images", done, total)


def _folder(root: Path, split: Split) -> CocoFolder:
    there = splits(root)
    name = next((name for name in _NAMES[split] if name in there), _NAMES[split][0])
    return CocoFolder.of(root, name)


def _detection_set(root: Path, split: Split, categories: Sequence[str], places: DataPlaces) -> DetectionSet:
    """A split with colours. COCO 2017 has no third one with annotations: a twentieth of the training images is held
    back for validation, the same ones always."""
    borrowed = not any(name in splits(root) for name in _NAMES["validation"]) and split != "test"
    coco = CocoFile.read(_folder(root, "train" if borrowed else split), categories)
    colours = PixelColours()
    tell = _tell(places, split)
    whole = detection_set(coco) if coco.has_colours else annotated_set(coco, colours, places.colours, tell)
    if not borrowed:
        return whole
    held_back, held = _held_back(whole), split == "validation"
    return replace(whole, images=tuple(image for image in whole.images if (image.path in held_back) == held))


def _held_back(whole: DetectionSet) -> set[Path]:
    """By their names' hashes; a small set has one at least."""
    ranks = {each.path: int(hashlib.sha256(each.path.name.encode()).hexdigest(), 16) for each in whole.images}
    chosen = {path for path, rank in ranks.items() if rank % _VALIDATION_SHARE == 0}
    return chosen or set(sorted(ranks, key=lambda path: ranks[path])[:1])
