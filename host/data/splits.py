"""Which images train, choose and judge: never two that are the same picture in two splits.

Where a split is not given, it is drawn by the pictures' contents: each has a place in [0, 1) by its hash; the last
tenth is for tests, the tenth before for validation. So a picture stays where it is when others come or go. Where a
split got no picture of a label, the last one of the label by place moves there; the rarest labels are served first.

Shapes: `n` images, `A` labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .layouts.base import NOT_GIVEN, SPLITS

SHARES = (0.8, 0.1, 0.1)
TRAIN, VALIDATION, TEST = range(3)

Splits = NDArray[np.int8]
IntArray = NDArray[np.int64]


def keep_apart(split: Splits, twins: IntArray) -> IntArray:
    """Of each image, `(n,)`, that must leave its split, a twin in a later one; -1 for those that may stay.

    The twin in the test split stays, then that in the validation split.
    """
    latest = np.full(int(twins.max(initial=-1)) + 1, -1)
    np.maximum.at(latest, twins, split)
    order = np.argsort(twins, kind="stable")[::-1]  # the first of equal ones is written last
    chosen = np.zeros(len(latest), np.int64)
    in_latest = order[split[order] == latest[twins[order]]]
    chosen[twins[in_latest]] = in_latest
    return np.where(split < latest[twins], chosen[twins], -1)


def draw_splits(given: Splits, twins: IntArray, places: NDArray[np.float64], has: NDArray[np.bool_]) -> Splits:
    """The split of every image: as given, and splits of which no image is given drawn from the training images.

    `places` `(n,)` are in [0, 1), equal for twins; `has` `(n, A)` are the labels. Raises `InputError` for a label with
    fewer different pictures than splits.
    """
    split = np.where(given == NOT_GIVEN, TRAIN, given).astype(np.int8)
    drawn = [index for index in (TEST, VALIDATION) if not (given == index).any()]
    pool = split == TRAIN
    end = 1.0
    for index in drawn:
        split[pool & (places < end) & (places >= end - SHARES[index])] = index
        end -= SHARES[index]
    for label in np.argsort(has.sum(0), kind="stable"):
        _fill(split, drawn, has[:, label], pool, twins, places)
    return split


def _fill(
    split: Splits, drawn: Sequence[int], has: NDArray[np.bool_], pool: NDArray[np.bool_], twins: IntArray,
    places: NDArray[np.float64],
) -> None:  # fmt: skip
    """Move a picture of a label to each drawn split that has none of it; the last ones by place that it can spare."""
    for index in [*drawn, TRAIN]:
        if (has & (split == index)).any():
            continue
        spare = [row for row in np.flatnonzero(has & pool).tolist() if _is_spare(split, has, twins, row)]
        if spare:
            row = max(spare, key=lambda each: (places[each], -each))
            split[twins == twins[row]] = index


def _is_spare(split: Splits, has: NDArray[np.bool_], twins: IntArray, row: int) -> bool:
    """Whether its split has other pictures of the label."""
    others = has & (split == split[row]) & (twins != twins[row])
    return bool(others.any())


def places_of(contents: NDArray[np.uint8], twins: IntArray) -> NDArray[np.float64]:
    """A place in [0, 1) for each image, `(n,)`, by its hash `(n, 32)`; twins share that of the one whose hash begins
    with the smallest number. The place comes from the numbers that follow: the smallest are not evenly spread."""
    numbers = np.ascontiguousarray(contents[:, :16]).view(">u8")  # (n, 2)
    order = np.argsort(numbers[:, 0], kind="stable")
    _, first = np.unique(twins[order], return_index=True)
    chosen = order[first]
    places = np.zeros(int(twins.max(initial=-1)) + 1)
    places[twins[chosen]] = numbers[chosen, 1] / 2.0**64
    return np.minimum(places, np.nextafter(1.0, 0.0))[twins]


def check_splits(split: Splits, labels: Sequence[str], has: NDArray[np.bool_], where: str) -> None:
    """Raises `InputError` for a label of which a split has no image."""
    for index, name in enumerate(SPLITS):
        lacking = [label for label, n in zip(labels, has[split == index].sum(0), strict=True) if not n]
        if lacking:
            raise InputError(
                f"the {name} split of {where} has no image of {', '.join(map(repr, lacking[:3]))}; each split needs "
                "some of each label, and not all the same picture: add images, or leave the label out"
            )
