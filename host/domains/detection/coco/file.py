"""Data sets in COCO's format: a folder with images, and a JSON file that says what is on them.

    DIR/annotations/instances_SPLIT.json      COCO 2017: instances_train2017.json
    DIR/SPLIT/*.jpg                           train2017/000000000009.jpg

Read are `images` (id, file_name, width, height), `categories` (id, name) and `annotations` (id, image_id, category_id,
bbox, segmentation, iscrowd), and of the latter one field more that COCO has not: `colour`, a group of `attrod` or null.
Files of other tools are taken too: with ids that are strings, and with width and height missing or wrong; see `frame`.
"""

from __future__ import annotations

import difflib
import json
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from ....data.left_out import LeftOut
from ....data.pictures import DAMAGED, Geometry, PictureError
from ....errors import InputError
from ....files import sha256_of
from ..attrod import COCO_CATEGORIES, COLOURS, DIGIT_CATEGORIES
from ..objects import Box, DetectionImage, DetectionObject
from .frame import Frame
from .geometry import read_geometries
from .ids import Id, as_id

_PREFIX = "instances_"


@dataclass(frozen=True)
class CocoFolder:
    """Where a split of a data set lies."""

    images: Path
    annotations: Path

    @classmethod
    def of(cls, root: Path, split: str) -> CocoFolder:
        """The split `train` or `train2017` of a folder. Raises `InputError` when it is not there."""
        folder = cls(root / split, root / "annotations" / f"{_PREFIX}{split}.json")
        for path, what in ((folder.annotations, "annotation file"), (folder.images, "folder of images")):
            if not path.exists():
                known = ", ".join(splits(root)) or "none"
                raise InputError(f"no {what} {path}; splits of {root} with annotations are: {known}")
        return folder


def splits(root: Path) -> list[str]:
    """The splits of a data set that have annotations of objects, by name."""
    files = (root / "annotations").glob(f"{_PREFIX}*.json")
    return sorted(path.stem.removeprefix(_PREFIX) for path in files)


@dataclass(frozen=True)
class ImageRow:
    """An image as its annotation file has it; `name` is a path below the folder of images.

    Its boxes are in `frame`. There is none where the image cannot be used, and `trouble` says why in a few words.
    """

    id: Id
    name: str
    frame: Frame | None
    trouble: str = ""


@dataclass(frozen=True)
class ObjectRow:
    """An object as its annotation file has it. `has_colour` tells a written colour of null from none written."""

    id: Id
    image_id: Id
    category: str
    box: Box
    segmentation: Any
    crowd: bool
    colour: str | None
    has_colour: bool


@dataclass(frozen=True)
class CocoFile:
    """What a split's annotation file says about some categories. Images without any of them are there too.

    `n_degenerate` boxes less than a pixel wide or high are left out. `sha256` is that of the file.
    """

    folder: CocoFolder
    categories: tuple[str, ...]
    images: tuple[ImageRow, ...]
    objects: Mapping[Id, tuple[ObjectRow, ...]]  # by image
    n_degenerate: int
    sha256: str

    @classmethod
    def read(
        cls, folder: CocoFolder, categories: Sequence[str] | None = None, cache: Path | None = None
    ) -> CocoFile:
        """Read and check a split, some of its categories or the default ones.

        Every image file is looked at; the folder `cache` keeps what was seen. Raises `InputError` for a category it has
        not, and where the file is not as COCO's are.
        """
        data, digest = _load(folder.annotations)
        try:
            return _read(folder, data, categories, digest, cache)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            if isinstance(error, InputError):
                raise
            reason = f"field {error} is missing" if isinstance(error, KeyError) else str(error)
            raise InputError(f"{folder.annotations} is not in COCO's format: {reason}") from error

    @property
    def has_colours(self) -> bool:
        """Whether the file itself says which colour every object has."""
        return all(row.has_colour or row.crowd for rows in self.objects.values() for row in rows)


@dataclass(frozen=True)
class DetectionSet:
    """The images of a split that are there, in the file's order, and what had to be left out."""

    images: tuple[DetectionImage, ...]
    categories: tuple[str, ...]
    left_out: LeftOut
    n_degenerate: int

    def counts(self) -> Counter[tuple[str, str | None]]:
        """How many objects each category has of each colour; crowds are not counted."""
        return count_colours(each for image in self.images for each in image.objects)


def count_colours(objects: Iterable[DetectionObject]) -> Counter[tuple[str, str | None]]:
    """How many of the objects are of each category and colour; crowds are not counted."""
    return Counter((each.category, each.colour) for each in objects if not each.crowd)


def detection_set(
    coco: CocoFile, colours: Mapping[Id, str | None] | None = None, unreadable: Collection[Id] = ()
) -> DetectionSet:
    """The split as images with coloured objects.

    `colours` are those of annotations by id; without them the file's own are taken. Images with an id in `unreadable`
    are left out like those that are not there. Raises `InputError` when an object has no colour said, or when too many
    images are left out.
    """
    left_out = LeftOut(len(coco.images), str(coco.folder.images))
    images = []
    for row in coco.images:
        if row.frame is None:
            left_out.add(row.name, row.trouble)
        elif row.id in unreadable:
            left_out.add(row.name, "cannot be read")
        else:
            objects = tuple(_coloured(coco, found, row.frame, colours) for found in coco.objects.get(row.id, ()))
            images.append(DetectionImage(coco.folder.images / row.name, *row.frame.upright_size, objects))
    left_out.check()
    return DetectionSet(tuple(images), coco.categories, left_out, coco.n_degenerate)


def _coloured(
    coco: CocoFile, row: ObjectRow, frame: Frame, colours: Mapping[Id, str | None] | None
) -> DetectionObject:
    """An object in the upright picture."""
    known = row.crowd or (row.has_colour if colours is None else row.id in colours)
    if not known:
        raise InputError(
            f"the objects of {coco.folder.annotations} have no colours yet; "
            f"run: edgewright data annotate {coco.folder.annotations.parent.parent}"
        )
    colour = None if row.crowd else row.colour if colours is None else colours[row.id]
    return DetectionObject(row.category, frame.upright_box(row.box), colour, row.crowd)


def _load(path: Path) -> tuple[dict[str, Any], str]:
    try:
        content = path.read_bytes()
        data = json.loads(content)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a JSON file: {error}") from error
    if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in _LISTS):
        raise InputError(f"{path} is not in COCO's format: it needs the lists {', '.join(_LISTS)}")
    return data, sha256_of(content)


_LISTS = ("images", "annotations", "categories")


def _read(
    folder: CocoFolder, data: dict[str, Any], categories: Sequence[str] | None, digest: str, cache: Path | None
) -> CocoFile:
    names = {as_id(each["id"]): str(each["name"]) for each in data["categories"]}
    wanted = tuple(default_categories(tuple(names.values())) if categories is None else categories)
    _check_categories(folder, wanted, names.values())
    images = {row.id: row for row in _image_rows(folder, data["images"], cache)}
    if len(images) != len(data["images"]):
        raise ValueError("two images have the same id")
    objects: dict[Id, list[ObjectRow]] = {}
    n_degenerate, seen = 0, set()
    for each in data["annotations"]:
        category = names.get(as_id(each["category_id"]))
        if category is None:
            raise ValueError(f"annotation {each.get('id')} has the unknown category {each['category_id']}")
        if category not in wanted:
            continue
        row = _object_row(each, category, images)
        if row.id in seen:
            raise ValueError(f"two annotations have the id {row.id}")
        seen.add(row.id)
        if row.box[2] - row.box[0] < 1 or row.box[3] - row.box[1] < 1:
            n_degenerate += 1
        else:
            objects.setdefault(row.image_id, []).append(row)
    rows = {image: tuple(found) for image, found in objects.items()}
    return CocoFile(folder, wanted, tuple(images.values()), rows, n_degenerate, digest)


def default_categories(known: Sequence[str]) -> Sequence[str]:
    """Those of the first task space that `known` has all of, else all."""
    return next((space for space in (COCO_CATEGORIES, DIGIT_CATEGORIES) if set(space) <= set(known)), known)


def _check_categories(folder: CocoFolder, wanted: Sequence[str], known: Collection[str]) -> None:
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"it has: {', '.join(known) or 'none'}"
            raise InputError(f"{folder.annotations} has no category {name!r}; {hint}")


def _image_rows(folder: CocoFolder, data: Sequence[Any], cache: Path | None) -> Iterator[ImageRow]:
    names = [_file_name(each) for each in data]
    geometries = read_geometries(folder.images, names, cache)
    for each, name in zip(data, names, strict=True):
        yield _image_row(each, name, geometries[name])


def _image_row(data: Any, name: str, stored: Geometry | PictureError) -> ImageRow:
    width, height = _length(data.get("width")), _length(data.get("height"))
    declared = (width, height) if width and height else None
    if isinstance(stored, PictureError):
        believed = declared and stored.reason == DAMAGED  # who decodes the image finds out, or finds it mended
        return ImageRow(as_id(data["id"]), name, Frame(width, height) if believed else None, stored.reason)
    frame = Frame.of(declared, stored)
    size = "{} x {}".format(*stored.upright_size)
    return ImageRow(as_id(data["id"]), name, frame, "" if frame else f"{size} pixels, not {width} x {height}")


def _length(value: Any) -> int:
    """Of a side in pixels; 0 for what is none, such as -1 or an empty string."""
    try:
        return max(0, int(float(value)))
    except (TypeError, ValueError, OverflowError):
        return 0


def _file_name(data: Any) -> str:
    name = str(data["file_name"])
    parts = PurePosixPath(name).parts
    outside = not parts or ".." in parts or PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor
    if outside or "\\" in name or "\0" in name:
        raise ValueError(f"the file name {name!r} of image {data['id']} leads out of the folder of images")
    return PurePosixPath(name).as_posix()


def _object_row(data: Any, category: str, images: Mapping[Id, ImageRow]) -> ObjectRow:
    name, image = as_id(data["id"]), images.get(as_id(data["image_id"]))
    if image is None:
        raise ValueError(f"annotation {name} is on the unknown image {data['image_id']}")
    colour = data.get("colour")
    if colour is not None and colour not in COLOURS:
        raise ValueError(f"annotation {name} has the unknown colour {colour!r}; known are: {', '.join(COLOURS)}")
    box, crowd = _box(data["bbox"], image.frame), bool(int(data.get("iscrowd") or 0))
    return ObjectRow(name, image.id, category, box, data.get("segmentation"), crowd, colour, "colour" in data)


def _box(data: Any, frame: Frame | None) -> Box:
    """COCO's x, y, width, height to x0, y0, x1, y1 within the frame, where that is known; what is no number makes an
    empty box."""
    x, y, width, height = (float(value) for value in data)
    if not all(map(math.isfinite, (x, y, width, height))):
        return 0.0, 0.0, 0.0, 0.0
    right, bottom = (frame.width, frame.height) if frame else (math.inf, math.inf)
    clip = lambda value, end: min(max(value, 0.0), float(end))  # noqa: E731
    return clip(x, right), clip(y, bottom), clip(x + width, right), clip(y + height, bottom)
