"""Labelled images: read, checked and split, from whatever layout they lie in.

Shapes: `n` images, `A` labels of all groups, in order.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .labels import LabelGroup, check_counts, check_names
from .layouts import list_images
from .layouts.base import NOT_GIVEN, SPLITS, Listing, Pictures
from .left_out import LeftOut
from .prints import Prints, fingerprints
from .splits import check_splits, draw_splits, keep_apart, places_of
from .spread import OnProgress, no_progress
from .twins import twin_groups

__all__ = ["SPLITS", "LabelGroup", "LabelledImages", "Survey", "read_labelled", "survey_labelled"]


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images `names` `(n,)` below `root`; which labels each `has` `(n, A)`, and its `split`, an index into `SPLITS`.

    `digest` is of names, contents, labels and splits: equal data have equal digests on any machine, in any folder.
    `content` `(n, 32)` are the SHA-256 of the images, which `pictures` reads.
    """

    root: Path
    groups: tuple[LabelGroup, ...]
    names: tuple[str, ...]
    has: NDArray[np.bool_]
    split: NDArray[np.int8]
    digest: str
    left_out: LeftOut
    content: NDArray[np.uint8]
    pictures: Pictures

    def __post_init__(self) -> None:
        n = len(self.names)
        if self.has.shape != (n, len(self.labels)) or self.split.shape != (n,) or self.content.shape != (n, 32):
            raise InputError(
                f"{n} images of {len(self.labels)} labels need labels ({n}, {len(self.labels)}), splits ({n},) and "
                f"contents ({n}, 32), got {self.has.shape}, {self.split.shape} and {self.content.shape}"
            )

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Of all groups, in order."""
        return tuple(label for group in self.groups for label in group.labels)

    def of_split(self, name: str) -> NDArray[np.int64]:
        """Indices of the images of a split. Raises `InputError` for an unknown name."""
        if name not in SPLITS:
            raise InputError(f"unknown split {name!r}; there are {', '.join(SPLITS)}")
        return np.flatnonzero(self.split == SPLITS.index(name))


@dataclass(frozen=True, eq=False)
class Survey:
    """The images, and what was seen while they were read.

    `sizes` `(n, 2)` are widths and heights; `twins` name the pictures that are there more than once, each group with
    the splits that its images were found in; `splits_given` are the splits that the folder gives.
    """

    images: LabelledImages
    sizes: NDArray[np.int32]
    twins: tuple[Twins, ...]
    splits_given: tuple[str, ...]
    unreadable: dict[str, str]


@dataclass(frozen=True)
class Twins:
    """Images that are the same picture; `splits` are what the folder said, empty where it said nothing."""

    names: tuple[str, ...]
    splits: tuple[str, ...]
    same_content: bool
    same_labels: bool

    @property
    def across_splits(self) -> bool:
        return len(set(self.splits)) > 1


def read_labelled(folder: Path, cache: Path, progress: OnProgress = no_progress) -> LabelledImages:
    """The images of a folder, or of a table; their fingerprints are kept in the folder `cache`.

    Raises `InputError` for a folder that nothing can be learnt from, and `StorageError` where the cache cannot be
    written.
    """
    return survey_labelled(folder, cache, progress).images


def survey_labelled(folder: Path, cache: Path, progress: OnProgress = no_progress) -> Survey:
    """As `read_labelled`, with what else was seen."""
    listing = list_images(folder)
    where = str(folder)
    if not listing.names and not listing.left_out:
        raise InputError(f"{where} holds no images; a JPEG or PNG of each class or row of the table is expected")
    check_names(listing.groups)
    check_counts(listing.groups, listing.has, where)
    prints, unreadable = fingerprints(listing.pictures, listing.names, listing.root, cache, progress)
    listing.left_out.reasons.update(unreadable)
    listing.left_out.check()
    readable = np.flatnonzero([name not in unreadable for name in listing.names])
    return _split(listing.of(readable), prints[readable], where)


def _split(listing: Listing, prints: Prints, where: str) -> Survey:
    twins = twin_groups(prints)
    unreadable = dict(listing.left_out.reasons)
    found = _found_twins(listing, prints, twins)
    given = tuple(name for index, name in enumerate(SPLITS) if (listing.split == index).any())
    twin_of = keep_apart(listing.split, twins)
    for row in np.flatnonzero(twin_of >= 0):
        twin = twin_of[row]
        home = SPLITS[listing.split[twin]]
        listing.left_out.add(listing.names[row], f"the same picture as {listing.names[twin]} of the {home} split")
    rows = np.flatnonzero(twin_of < 0)
    kept, prints, twins = listing.of(rows), prints[rows], twins[rows]
    check_counts(kept.groups, kept.has, where)
    split = draw_splits(kept.split, twins, places_of(prints["content"], twins), kept.has)
    images = _images(kept, prints, split)
    check_splits(split, images.labels, images.has, where)
    return Survey(images, np.array(prints["size"]), found, given, unreadable)


def _images(listing: Listing, prints: Prints, split: NDArray[np.int8]) -> LabelledImages:
    content = np.array(prints["content"])
    return LabelledImages(
        listing.root, listing.groups, listing.names, listing.has, split, _digest(listing, content, split),
        listing.left_out, content, listing.pictures,
    )  # fmt: skip


def _found_twins(listing: Listing, prints: Prints, twins: NDArray[np.int64]) -> tuple[Twins, ...]:
    order = np.argsort(twins, kind="stable")
    ends = np.flatnonzero(np.diff(twins[order], append=-1)) + 1
    groups = [rows for rows in np.split(order, ends[:-1]) if len(rows) > 1]
    return tuple(_twins(listing, prints, rows) for rows in sorted(groups, key=lambda rows: int(rows[0])))


def _twins(listing: Listing, prints: Prints, rows: NDArray[np.int64]) -> Twins:
    splits = tuple(SPLITS[index] for index in listing.split[rows] if index != NOT_GIVEN)
    one = rows[0]
    return Twins(
        tuple(listing.names[row] for row in rows),
        splits,
        bool((prints["content"][rows] == prints["content"][one]).all()),
        bool((listing.has[rows] == listing.has[one]).all()),
    )


def _digest(listing: Listing, content: NDArray[np.uint8], split: NDArray[np.int8]) -> str:
    groups = [[group.name, list(group.labels), group.exclusive] for group in listing.groups]
    hasher = hashlib.sha256(json.dumps(groups).encode())
    for name in listing.names:
        hasher.update(f"\n{unicodedata.normalize('NFC', name)}".encode())
    for part in (content, np.packbits(listing.has, axis=1), split):
        hasher.update(np.ascontiguousarray(part).tobytes())
    return hasher.hexdigest()
