"""How tasks over labels are written: "helmet, not vest", "red or green, truck", "cat | dog | bird".

A task is a list of clauses, all of which must hold: a label, `not` a label, or some labels of one group joined by `or`.
Labels joined by `|` ask which of them it is; such a clause stands alone.

Shapes: `A` labels, `T` = 4 A numbers of an encoding.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.labelled import LabelGroup
from ...errors import InputError
from ...tasks import Task
from .question import Question

_KINDS = ("", "or ", "not ", "| ")  # must, any of, never, which
_OR = re.compile(r"\s+or\s+", re.IGNORECASE)


@dataclass(frozen=True)
class LabelSpace:
    """The labels of some images, by groups.

    `images_sha256` is the digest of the images that they are of. `mixed` says of which labels some of these images have
    another one too and some do not, a bit for each pair of labels `(A, A)`: only then is it worth asking for both.
    """

    groups: tuple[LabelGroup, ...]
    images_sha256: str
    mixed: bytes = b""

    @classmethod
    def of(cls, groups: tuple[LabelGroup, ...], has: NDArray[np.bool_], images_sha256: str) -> LabelSpace:
        """Of training images with labels `(n, A)`."""
        counts = has.astype(np.float32)
        both = counts.T @ counts  # (A, A)
        mixed = (both > 0) & (both < counts.sum(0)[:, None])  # (A, A)
        return cls(groups, images_sha256, np.packbits(mixed).tobytes())

    def is_mixed(self, one: int, other: int) -> bool:
        """Whether some images with label `one` have `other` too, and some do not."""
        place = one * len(self.labels) + other
        return bool(self.mixed[place // 8] >> (7 - place % 8) & 1)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Of all groups, in order."""
        return tuple(label for group in self.groups for label in group.labels)

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        """Four of each label: it must be there, be one of several, not be there, or be told apart from others."""
        return tuple(f"{kind}{label}" for kind in _KINDS for label in self.labels)

    @cached_property
    def indices(self) -> tuple[tuple[int, ...], ...]:
        """Of the labels of each group."""
        starts = np.cumsum([0, *(len(group.labels) for group in self.groups)]).tolist()
        return tuple(tuple(range(a, b)) for a, b in zip(starts, starts[1:], strict=False))

    @cached_property
    def exclusive(self) -> tuple[tuple[int, ...], ...]:
        """The labels of each group of which an image has at most one, and which can therefore be told apart."""
        pairs = zip(self.groups, self.indices, strict=True)
        return tuple(mine for group, mine in pairs if group.exclusive and len(mine) > 1)

    @property
    def example(self) -> str:
        if self.exclusive:
            return " | ".join(self.labels[index] for index in self.exclusive[0][:2])
        return self.labels[0]

    def task(self, attributes: Iterable[str]) -> Task:
        return self.parse(", ".join(attributes))

    def parse(self, text: str) -> Task:
        """Raises `InputError` for an unknown label, and for a task that contradicts itself or asks nothing."""
        clauses = [" ".join(clause.split()) for clause in text.split(",")]
        clauses = [clause for clause in clauses if clause]
        if not clauses:
            raise InputError(f"the task is empty; name labels, such as {self.example!r}")
        return self.task_of(self._question(clauses))

    def question(self, task: Task) -> Question:
        return self._question(task.attributes)

    def task_of(self, question: Question) -> Task:
        """The task in its canonical form: labels in the order of the space. Raises `InputError`."""
        self._check(question)
        if question.which:
            return Task((" | ".join(self.labels[index] for index in sorted(question.which)),))
        clauses = {index: self.labels[index] for index in question.must}
        clauses |= {index: f"not {self.labels[index]}" for index in question.never}
        clauses |= {min(some): " or ".join(self.labels[i] for i in sorted(some)) for some in question.any_of}
        return Task(tuple(clauses[index] for index in sorted(clauses)))

    def encode(self, attributes: Iterable[str]) -> NDArray[np.float32]:
        return self.encoded(self._question(tuple(attributes)))

    def encoded(self, question: Question) -> NDArray[np.float32]:
        """`(T,)`."""
        vector = np.zeros((len(_KINDS), len(self.labels)), np.float32)  # (4, A)
        some = [index for each in question.any_of for index in each]
        for row, indices in enumerate((question.must, some, question.never, question.which)):
            vector[row, sorted(indices)] = 1.0
        return vector.ravel()  # (T,)

    def to_json(self) -> dict[str, Any]:
        groups = [[group.name, list(group.labels), group.exclusive] for group in self.groups]
        return {"groups": groups, "images_sha256": self.images_sha256, "mixed": self.mixed.hex()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LabelSpace:
        groups = tuple(LabelGroup(name, tuple(labels), bool(exclusive)) for name, labels, exclusive in data["groups"])
        return cls(groups, str(data["images_sha256"]), bytes.fromhex(data["mixed"]))

    @cached_property
    def _by_spelling(self) -> dict[str, int]:
        return {label.casefold(): index for index, label in enumerate(self.labels)}

    @cached_property
    def _or_group(self) -> tuple[int, ...]:
        """Per label, the group within which `or` joins: its own; groups of a single label, as yes-or-no columns are,
        count as one."""
        return tuple(-1 if len(mine) == 1 else number for number, mine in enumerate(self.indices) for _ in mine)

    def _question(self, clauses: Iterable[str]) -> Question:
        clauses = tuple(clauses)
        which = next((clause for clause in clauses if "|" in clause), None)
        if which is not None:
            if len(clauses) > 1:
                raise InputError(
                    f"{which!r} asks which one it is; it must be the whole task, not one of {len(clauses)}"
                )
            return Question(which=tuple(self._index(part) for part in which.split("|")))
        must, never, any_of = [], [], []
        for clause in clauses:
            if clause.casefold().startswith("not ") and clause.casefold() not in self._by_spelling:
                never.append(self._negated(clause))
            elif len(parts := self._alternatives(clause)) > 1:
                any_of.append([self._index(part) for part in parts])
            else:
                must.append(self._index(clause))
        self._check_named_once([*must, *never, *(index for some in any_of for index in some)])
        return Question(frozenset(must), tuple(frozenset(some) for some in any_of), frozenset(never))

    def _negated(self, clause: str) -> int:
        label = clause[4:]
        if len(parts := self._alternatives(label)) > 1:
            raise InputError(f"{clause!r} is ambiguous; write {', '.join(f'not {part}' for part in parts)!r}")
        return self._index(label)

    def _alternatives(self, clause: str) -> list[str]:
        return [clause] if clause.casefold() in self._by_spelling else _OR.split(clause)

    def _index(self, label: str) -> int:
        spelling = " ".join(label.split()).casefold()
        if spelling in self._by_spelling:
            return self._by_spelling[spelling]
        near = difflib.get_close_matches(spelling, self._by_spelling, n=3, cutoff=0.6)
        known = [self.labels[self._by_spelling[each]] for each in near]
        hint = f"did you mean {' or '.join(map(repr, known))}?" if known else f"known are: {_some(self.labels)}"
        raise InputError(f"unknown label {' '.join(label.split())!r}; {hint}")

    def _check_named_once(self, indices: list[int]) -> None:
        for index in indices:
            if indices.count(index) > 1:
                raise InputError(f"the task names {self.labels[index]!r} more than once; name every label once")

    def _check(self, question: Question) -> None:
        if question.which:
            self._check_which(question.which)
        for group, mine in zip(self.groups, self.indices, strict=True):
            both = sorted(question.must & set(mine))
            if group.exclusive and len(both) > 1:
                one, other = (self.labels[index] for index in both[:2])
                raise InputError(
                    f"no image has both {one!r} and {other!r}, each has one {group.name}; write "
                    f"{f'{one} or {other}'!r} for either, or {f'{one} | {other}'!r} to tell them apart"
                )
        self._check_any(question.any_of)

    def _check_which(self, which: tuple[int, ...]) -> None:
        self._check_named_once(list(which))
        if len(which) < 2:
            raise InputError(f"a task that asks which one it is needs at least two, got {self.labels[which[0]]!r}")
        if not any(set(which) <= set(mine) for mine in self.exclusive):
            names = " | ".join(self.labels[index] for index in which)
            raise InputError(
                f"{names!r} cannot be told apart: an image may have several of them, or they are of different groups; "
                f"ask about one at a time, such as {self.labels[which[0]]!r}"
            )

    def _check_any(self, any_of: tuple[frozenset[int], ...]) -> None:
        groups = [{self._or_group[index] for index in some} for some in any_of]
        for some, each in zip(any_of, groups, strict=True):
            if len(each) > 1:
                names = " or ".join(self.labels[index] for index in sorted(some))
                raise InputError(f"{names!r} joins labels of different groups; `or` joins labels of one group")
        if len(set().union(*groups)) < len(groups):
            raise InputError("two clauses with `or` are about the same group of labels; join them into one")


def _some(labels: tuple[str, ...]) -> str:
    return ", ".join(labels[:12]) + (f" and {len(labels) - 12} more" if len(labels) > 12 else "")
