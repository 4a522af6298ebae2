"""A folder per class, with or without a folder per split on top, as torchvision's `ImageFolder` has it.

    DIR/cat/1.jpg      DIR/train/cat/1.jpg      splits may be called train, validation (val, valid) and test
    DIR/dog/2.jpg      DIR/test/dog/2.jpg       images may lie in folders of their own within a class
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import InputError
from ..labels import LabelGroup, as_label, label_order
from ..left_out import LeftOut
from .base import NOT_GIVEN, Listing, split_index
from .files import FilePictures, folders_in, image_files, linked_folders, loose_images

GROUP = "class"


@dataclass(frozen=True)
class ClassFolders:
    expected: str = "a folder per class, such as DIR/cat/1.jpg or DIR/train/cat/1.jpg"

    def fits(self, path: Path) -> bool:
        return path.is_dir() and bool(folders_in(path) or loose_images(path))

    def list(self, path: Path) -> Listing:
        tops = _tops(path)
        label_of = {folder: as_label(folder) for top in tops for folder in folders_in(path / top)}
        if not label_of:
            raise InputError(_unsorted(path, tops))
        group = LabelGroup(GROUP, label_order(label_of.values()), exclusive=True)
        left_out: dict[str, str] = {}
        for top in tops:
            left_out.update({name: "in no class" for name in loose_images(path, top)})
        for top in {"", *tops}:
            left_out.update(linked_folders(path, top))
        rows = sorted(_rows(path, tops, label_of, left_out))
        has = np.zeros((len(rows), len(group.labels)), bool)
        column = {label: index for index, label in enumerate(group.labels)}
        has[np.arange(len(rows)), [column[label] for _, label, _ in rows]] = True
        names = tuple(name for name, _, _ in rows)
        split = np.array([split for _, _, split in rows], np.int8)
        told = LeftOut(len(rows) + len(left_out), str(path), reasons=left_out)
        return Listing(path, FilePictures(path), (group,), names, has, split, told)


def _tops(path: Path) -> dict[str, int]:
    """The folders that hold class folders, below `path`, and the split of each; "" is `path` itself."""
    folders = folders_in(path)
    splits = {name: index for name in folders if (index := split_index(name)) is not None}
    others = [name for name in folders if name not in splits]
    if not folders or others and (len(splits) < 2 or 0 not in splits.values()):
        return {"": NOT_GIVEN}  # such as the classes bus, car and train
    if others:
        raise InputError(f"{path} holds folders of splits ({', '.join(splits)}) and others ({', '.join(others[:3])}); "
                         "move the others elsewhere")  # fmt: skip
    if 0 not in splits.values():
        raise InputError(f"{path} has no folder of training images; expected one called train")
    if len(set(splits.values())) < len(splits):
        raise InputError(f"{path} has two folders for one split ({', '.join(splits)}); join them")
    return splits


def _rows(
    path: Path, tops: dict[str, int], label_of: dict[str, str], left_out: dict[str, str]
) -> Iterator[tuple[str, str, int]]:
    """Name, label and split of every image."""
    for top, split in tops.items():
        for folder in folders_in(path / top):
            for name in image_files(path, f"{top}/{folder}" if top else folder, left_out):
                yield name, label_of[folder], split


def _unsorted(path: Path, tops: dict[str, int]) -> str:
    where = path / next(iter(tops))
    return f"the images of {where} are in no class; put those of each class into a folder of its own, or add a table"
