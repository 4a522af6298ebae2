"""Attributed detection over the user's photographs, or over coloured digits that are made here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ...data.digits import load_digits
from ...errors import InputError
from ...tasks.domain import Split
from ..protocol import DataSources
from .attrod import DIGIT_CATEGORIES
from .boxes import Grid
from .coco.file import CocoFile, CocoFolder, DetectionSet, detection_set, splits
from .colours.cache import annotated_set
from .colours.pixels import PixelColours
from .domain import AttrOd
from .letterboxed import LetterboxedImages, load_images
from .scenes.digit_set import DigitSet, write_digit_set

DIGIT_SETS = {"train": 12_000, "validation": 1_000, "test": 2_000}
_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "train2017"),
    "validation": ("validation",),
    "test": ("test", "val2017", "val"),
}
_VALIDATION_SHARE = 20  # one training image in twenty, where there is no split for validation


# Folders of the cache: what is generated, decoded images, and colours that were found.
_GENERATED, _DECODED, _COLOURS = "data", "letterboxed", "colours"


def open_data(categories: Sequence[str], grid: Grid, sources: DataSources) -> AttrOd:
    """The domain, its images loaded when they are first asked for; without `categories`, of all that the data have.

    Raises `InputError` where the data are not there or lack a category.
    """
    if sources.folder is not None:
        return _of_folder(sources.folder, categories, grid, sources)
    if set(categories or DIGIT_CATEGORIES) != set(DIGIT_CATEGORIES):
        raise InputError(f"`data` is needed: a folder in COCO's format with {', '.join(categories)}")
    return _of_digits(categories or DIGIT_CATEGORIES, grid, sources)


def _of_folder(root: Path, categories: Sequence[str], grid: Grid, sources: DataSources) -> AttrOd:
    if not splits(root):
        raise InputError(
            f"{root} is no data set: it has no annotations/instances_*.json beside its folders of images; name "
            "the folder that COCO's archives were unpacked in"
        )
    chosen = categories or CocoFile.read(_folder(root, "train"), cache=sources.cache / _DECODED).categories

    def load(split: Split) -> LetterboxedImages:
        sources.say(f"reading the {split} images of {root}")
        images = _detection_set(root, split, chosen, sources)
        return load_images(images, grid.side, sources.cache / _DECODED, _tell(sources, split))

    return AttrOd(tuple(chosen), grid, load, str(root))


def _of_digits(categories: Sequence[str], grid: Grid, sources: DataSources) -> AttrOd:
    """Generated images of the grid's own side, written when they are first needed."""
    root = sources.cache / _GENERATED / f"coloured-digits-{grid.side}"

    def load(split: Split) -> LetterboxedImages:
        wanted = DigitSet(split, DIGIT_SETS[split], grid.side, even=split != "train")
        if not CocoFolder(root / split, root / "annotations" / f"instances_{split}.json").annotations.exists():
            sources.say(f"making {wanted.n_images:,} images of coloured digits in {root}, once")
        tell = _tell(sources, split)
        folder = write_digit_set(root, wanted, load_digits(sources.mnist), tell)
        images = detection_set(CocoFile.read(folder, categories, sources.cache / _DECODED))
        return load_images(images, grid.side, sources.cache / _DECODED, tell)

    return AttrOd(tuple(categories), grid, load, "generated coloured digits")


def _tell(sources: DataSources, split: Split) -> Callable[[int, int], None]:
    return lambda done, total: sources.progress(f"{split} images", done, total)


def _folder(root: Path, split: Split) -> CocoFolder:
    there = splits(root)
    name = next((name for name in _NAMES[split] if name in there), _NAMES[split][0])
    return CocoFolder.of(root, name)


def _detection_set(root: Path, split: Split, categories: Sequence[str], sources: DataSources) -> DetectionSet:
    """A split with colours. COCO 2017 has no third one with annotations: a twentieth of the training images is held
    back for validation, the same ones always."""
    borrowed = not any(name in splits(root) for name in _NAMES["validation"]) and split != "test"
    coco = CocoFile.read(_folder(root, "train" if borrowed else split), categories, sources.cache / _DECODED)
    colours = PixelColours()
    tell = _tell(sources, split)
    whole = detection_set(coco) if coco.has_colours else annotated_set(coco, colours, sources.cache / _COLOURS, tell)
    if not borrowed:
        return whole
    held_back, held = _held_back(whole), split == "validation"
    return replace(whole, images=tuple(image for image in whole.images if (image.path in held_back) == held))


def _held_back(whole: DetectionSet) -> set[Path]:
    """By their names' hashes; a small set has one at least."""
    ranks = {each.path: int(hashlib.sha256(each.path.name.encode()).hexdigest(), 16) for each in whole.images}
    chosen = {path for path, rank in ranks.items() if rank % _VALIDATION_SHARE == 0}
    return chosen or set(sorted(ranks, key=lambda path: ranks[path])[:1])
