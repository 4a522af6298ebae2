"""Compositional tasks: a task is a set of known attributes shared between tasks (NN-Factory, section 2).

Shapes: `T` attributes of a space.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

_SEPARATORS = re.compile(r"[,|;/]")


@dataclass(frozen=True)
class AttributeGroup:
    """Attributes of one kind. A task names between `min_count` and `max_count` of them."""

    name: str
    attributes: tuple[str, ...]
    min_count: int = 1
    max_count: int = 1


@dataclass(frozen=True)
class Task:
    """Attributes in the order of their space. Made by `AttributeSpace.task` or `.parse`, which check them."""

    attributes: tuple[str, ...]

    def __str__(self) -> str:
        return ", ".join(self.attributes)


@dataclass(frozen=True)
class AttributeSpace:
    """The attributes that tasks are made of.

    `aliases` maps other spellings to attributes; `fillers` are words that a phrase may hold and that mean nothing.
    """

    groups: tuple[AttributeGroup, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)
    fillers: frozenset[str] = frozenset()

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        return tuple(attribute for group in self.groups for attribute in group.attributes)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {attribute: index for index, attribute in enumerate(self.attributes)}

    def task(self, attributes: Iterable[str]) -> Task:
        """The task of these attributes. Raises `InputError` for an unknown attribute or a set outside the space."""
        wanted = {self._known(attribute) for attribute in attributes}
        for group in self.groups:
            named = [attribute for attribute in group.attributes if attribute in wanted]
            if not group.min_count <= len(named) <= group.max_count:
                raise InputError(self._count_sentence(group, named, wanted))
        return Task(tuple(sorted(wanted, key=self._index.__getitem__)))

    def parse(self, text: str) -> Task:
        """Read "only two, even", "car, white|lime" or a plain phrase such as "only two even". Raises `InputError`."""
        parts = [" ".join(part.split()) for part in _SEPARATORS.split(text.lower())]
        if not any(parts):
            raise InputError(f"the task is empty; name its attributes, such as {self.example!r}")
        return self.task(name for part in parts for name in self._names(part))

    def encode(self, attributes: Iterable[str]) -> NDArray[np.float32]:
        """Multi-hot vector `(T,)`. Takes any known attributes: training also uses combinations no task may have."""
        vector = np.zeros(len(self.attributes), np.float32)
        vector[[self._index[self._known(attribute)] for attribute in attributes]] = 1.0
        return vector

    @property
    def example(self) -> str:
        """Some task of the space, as a user would write it: one attribute of every group."""
        return ", ".join(group.attributes[-1] for group in self.groups)

    def to_json(self) -> dict[str, Any]:
        return {
            "groups": [[g.name, list(g.attributes), g.min_count, g.max_count] for g in self.groups],
            "aliases": dict(self.aliases),
            "fillers": sorted(self.fillers),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AttributeSpace:
        groups = tuple(AttributeGroup(name, tuple(names), low, high) for name, names, low, high in data["groups"])
        return cls(groups, dict(data["aliases"]), frozenset(data["fillers"]))

    def _names(self, part: str) -> list[str]:
        """The attributes named between two separators; an unknown word is kept as it was typed."""
        whole = self._spelled(part)
        if whole in self._index:
            return [whole]
        pieces = [self._spelled(piece) for piece in self._split(part) if piece not in self.fillers]
        return pieces if any(piece in self._index for piece in pieces) else [whole] * bool(pieces)

    def _split(self, phrase: str) -> list[str]:
        """Cut a phrase into known spellings, the longest first; unknown words stay as they are."""
        spellings = sorted({*self.attributes, *self.aliases}, key=len, reverse=True)
        pattern = "|".join(re.escape(spelling) for spelling in spellings)
        return re.findall(rf"(?:{pattern})(?!\S)|\S+", phrase)

    def _spelled(self, part: str) -> str:
        words = [word for word in part.split() if word not in self.fillers]
        part = " ".join(words) or part
        return self.aliases.get(part, part)

    def _known(self, attribute: str) -> str:
        if attribute in self._index:
            return attribute
        near = difflib.get_close_matches(attribute, [*self.attributes, *self.aliases], n=3, cutoff=0.6)
        near = list(dict.fromkeys(self.aliases.get(name, name) for name in near))
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known are: {', '.join(self.attributes)}"
        raise InputError(f"unknown attribute {attribute!r}; {hint}")

    def _count_sentence(self, group: AttributeGroup, named: list[str], wanted: set[str]) -> str:
        given = ", ".join(sorted(wanted, key=self._index.__getitem__)) or "nothing"
        low, high = group.min_count, group.max_count
        need = f"exactly {low}" if low == high else f"{low} to {high}"
        return (
            f"the task ({given}) is outside the space: it needs {need} of {group.name} "
            f"({', '.join(group.attributes)}), got {', '.join(named) or 'none'}; for example {self.example!r}"
        )
