"""What labelled images are labelled with. A label can be typed in a task, such as "cat | dog" or "helmet, not vest".

Shapes: `n` images, `A` labels of all groups.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

MAX_LENGTH = 60
MIN_IMAGES = 10
"""Of one label; with fewer there is too little to train with, to choose by and to judge by."""

_NAMED = 3


@dataclass(frozen=True)
class LabelGroup:
    """Labels of one kind, in a stable order. `name` is "class", or the table's column; of an `exclusive` group each
    image has at most one label.

    Raises: `InputError` for a label that cannot be typed in a task.
    """

    name: str
    labels: tuple[str, ...]
    exclusive: bool

    def __post_init__(self) -> None:
        for label in self.labels:
            why = _unusable(label)
            if why:
                shown = label if len(label) <= MAX_LENGTH else f"{label[: MAX_LENGTH - 3]}..."
                raise InputError(f"the label {shown!r} cannot be typed in a task: it {why}; rename it")


def as_label(text: str) -> str:
    """A folder's or a cell's text as a label: composed characters, single spaces."""
    spaced = "".join(" " if unicodedata.category(char) == "Zs" else char for char in text)
    return re.sub(" +", " ", unicodedata.normalize("NFC", spaced)).strip(" ")


def _unusable(label: str) -> str:
    """Why a task cannot name the label, as the end of a sentence; empty when it can."""
    if not label:
        return "is empty"
    if len(label) > MAX_LENGTH:
        return f"has {len(label)} characters, more than {MAX_LENGTH}"
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in label):
        return "holds a line break or another character that cannot be typed"
    for sign, called in ((",", "a comma"), ("|", '"|"'), (";", "a semicolon"), ("/", "a slash"), ('"', "a quote")):
        if sign in label:
            return f"holds {called}"
    words = label.casefold().split()
    if words[0] == "not":
        return 'begins with "not"'
    return 'holds the word "or"' if "or" in words else ""


def check_names(groups: Sequence[LabelGroup]) -> None:
    """Raises `InputError` for a label that is there twice, or differs from another only by case."""
    seen: dict[str, tuple[LabelGroup, str]] = {}
    for group in groups:
        for label in group.labels:
            other, spelled = seen.setdefault(label.casefold(), (group, label))
            if other is not group:
                where = f"{other.name!r} and {group.name!r}"
                raise InputError(f"both columns {where} have the label {label!r}; rename it in one of them")
            if spelled != label:
                raise InputError(f"the labels {spelled!r} and {label!r} differ only by case; rename or join them")


def check_counts(groups: Sequence[LabelGroup], has: NDArray[np.bool_], where: str) -> None:
    """Raises `InputError` unless there is something to tell apart, and enough images `(n, A)` of every label."""
    for group in groups:
        if group.exclusive and len(group.labels) == 1:
            raise InputError(
                f"all images of {where} have the same {group.name}, {group.labels[0]!r}; "
                "a model needs at least two to tell apart"
            )
    labels = [label for group in groups for label in group.labels]
    few = [(label, int(n)) for label, n in zip(labels, has.sum(0), strict=True) if n < MIN_IMAGES]
    if few:
        raise InputError(
            f"too few images in {where}: {_counts(few)}; each label needs at least {MIN_IMAGES}: "
            "add images, or leave the label out"
        )
    for group, column in zip(groups, starts(groups), strict=True):
        without = len(has) - int(has[:, column].sum())
        if len(group.labels) == 1 and without < MIN_IMAGES:
            raise InputError(
                f"only {without} images of {where} are without {group.labels[0]!r}; at least {MIN_IMAGES} are needed "
                "to tell the two apart: add images, or leave the label out"
            )


def starts(groups: Iterable[LabelGroup]) -> list[int]:
    """The first column of every group among the labels of all."""
    found, column = [], 0
    for group in groups:
        found.append(column)
        column += len(group.labels)
    return found


def _counts(few: Sequence[tuple[str, int]]) -> str:
    named = ", ".join(f"{label!r} has {n}" for label, n in few[:_NAMED])
    return named + (f" and {len(few) - _NAMED} more labels have too few" if len(few) > _NAMED else "")


def label_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Sorted as people count: "item 2" before "item 10"."""
    parts = lambda label: [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in re.split(r"(\d+)", label) if p]  # noqa: E731
    return tuple(sorted(labels, key=lambda label: (parts(label.casefold()), label)))
