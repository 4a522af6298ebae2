"""What labelled images hold, and which tasks follow, as data for people and programs.

Shapes: `n` images, `A` labels of all groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import comb
from typing import Any

import numpy as np

from .labelled import LabelledImages, Survey
from .labels import LabelGroup, starts
from .layouts.base import SPLITS

Counts = Mapping[str, Mapping[str, int]]


def findings(survey: Survey) -> dict[str, Any]:
    """Keys: classes, attributes, images, splits, unreadable, duplicates, tasks.

    `classes` are the groups of which an image has one label at most, `attributes` the others; both count the images of
    every label in every split.
    """
    images = survey.images
    counts = {group.name: _counts(images, group, start) for group, start in _columns(images)}
    exclusive = {group.name for group in images.groups if group.exclusive}
    return {
        "classes": {name: table for name, table in counts.items() if name in exclusive},
        "attributes": {name: table for name, table in counts.items() if name not in exclusive},
        "images": _images(survey, counts),
        "splits": {name: len(images.of_split(name)) for name in SPLITS},
        "unreadable": survey.unreadable,
        "duplicates": _duplicates(survey),
        "tasks": {
            "which_of": [_which_of(group) for group in images.groups if group.exclusive],
            "yes_no": _yes_no(images),
        },
    }


def _columns(images: LabelledImages) -> Iterable[tuple[LabelGroup, int]]:
    return zip(images.groups, starts(images.groups), strict=True)


def _counts(images: LabelledImages, group: LabelGroup, start: int) -> dict[str, dict[str, int]]:
    per_split = np.stack([images.has[images.split == index].sum(0) for index in range(len(SPLITS))])  # (splits, A)
    return {
        label: dict(zip(SPLITS, per_split[:, start + index].tolist(), strict=True))
        for index, label in enumerate(group.labels)
    }


def _images(survey: Survey, counts: Mapping[str, Counts]) -> dict[str, Any]:
    sizes = survey.sizes[np.argsort(survey.sizes.prod(1), kind="stable")].tolist()
    return {
        "found": survey.images.left_out.n_files,
        "used": len(survey.images),
        "sizes": {"smallest": sizes[0], "median": sizes[len(sizes) // 2], "largest": sizes[-1]},
        "splits_given": list(survey.splits_given),
        "imbalance": {name: _imbalance(table) for name, table in counts.items() if len(table) > 1},
        "digest": survey.images.digest,
    }


def _imbalance(table: Counts) -> float:
    """How many times as many images the most frequent label has as the rarest."""
    totals = [sum(row.values()) for row in table.values()]
    return round(max(totals) / min(totals), 2)


def _duplicates(survey: Survey) -> dict[str, Any]:
    twins = survey.twins
    across = [each for each in twins if each.across_splits]
    return {
        "groups": [
            {"images": list(each.names), "splits": list(each.splits), "same_bytes": each.same_content,
             "same_labels": each.same_labels} for each in twins
        ],
        "across_splits": len(across),
        "left_out": {
            name: why for name, why in survey.images.left_out.reasons.items() if name not in survey.unreadable
        },
    }  # fmt: skip


def _which_of(group: LabelGroup) -> dict[str, Any]:
    k = len(group.labels)
    examples = {" | ".join(group.labels[:2]), " | ".join(group.labels[:3]), " | ".join(group.labels[-2:])}
    return {
        "group": group.name,
        "labels": k,
        "of_two": comb(k, 2),
        "of_two_to_five": sum(comb(k, size) for size in range(2, min(k, 5) + 1)),
        "examples": sorted(examples, key=lambda text: (text.count("|"), text)),
    }


def _yes_no(images: LabelledImages) -> dict[str, Any]:
    """Examples are tasks that the images can teach: some are a yes, some a no."""
    examples = [_shown(images, label, None) for label in range(min(2, len(images.labels)))]
    pairs = ((a, b) for a in range(len(images.labels)) for b in range(len(images.labels)) if a != b)
    telling = (pair for pair in pairs if 0 < _fits(images, *pair) < int(images.has[:, pair[0]].sum()))
    examples += [_shown(images, *pair) for pair, _ in zip(telling, range(2), strict=False)]
    return {"labels": len(images.labels), "examples": examples}


def _shown(images: LabelledImages, wanted: int, unwanted: int | None) -> dict[str, Any]:
    labels = images.labels
    task = labels[wanted] if unwanted is None else f"{labels[wanted]}, not {labels[unwanted]}"
    return {"task": task, "yes": _fits(images, wanted, unwanted), "of": len(images)}


def _fits(images: LabelledImages, wanted: int, unwanted: int | None) -> int:
    yes = images.has[:, wanted]
    return int((yes if unwanted is None else yes & ~images.has[:, unwanted]).sum())
