"""AttrOD: which objects a detector is to find, by category and colour ("bicycle, white, crimson").

The attributed object detection of NN-Factory (section 5): an object is asked for by its category and by a set of
colours, of which it has one. No colour means colour-free: objects of any colour, including those with none of the five.
The paper counts about 140 tasks. Ours, for four categories, are 135: each category with every set of colours
(4 x 32, the empty set among them), and, colour-free, each pair of categories and all four together.

Shapes: `T` attributes of a space.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from ...errors import InputError
from ...tasks.attributes import AttributeGroup, AttributeSpace, Task
from .objects import DetectionObject

COLOURS = ("white", "bronze", "charcoal", "crimson", "lime")
COCO_CATEGORIES = ("person", "bicycle", "car", "motorcycle")
DIGIT_CATEGORIES = ("digit-1", "digit-3", "digit-6", "digit-8")

_HELD_OUT_SHARE = 6  # one task in six

COLOUR_WORDS: dict[str, str] = {
    **dict.fromkeys(("red", "scarlet", "maroon", "pink", "burgundy"), "crimson"),
    **dict.fromkeys(("green", "light green", "dark green"), "lime"),
    **dict.fromkeys(("black", "grey", "gray", "silver", "dark grey", "dark gray"), "charcoal"),
    **dict.fromkeys(("brown", "orange", "yellow", "gold", "golden", "tan", "khaki"), "bronze"),
    **dict.fromkeys(("cream", "ivory", "beige", "light grey", "light gray"), "white"),
}
"""What people, and models that answer questions, call the five groups. Blue, violet and turquoise are in none."""

_FILLERS = frozenset(
    "a an the and or any every of in colour color colours colors coloured colored object objects thing things".split()
)
_IRREGULAR = {"person": ("people", "persons"), "bicycle": ("bike", "bikes"), "motorcycle": ("motorbike", "motorbikes")}
_DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def attrod_space(categories: Sequence[str]) -> AttributeSpace:
    """The space of tasks over these categories: one or more of them, with none to five colours.

    Raises `InputError` when a category could not be told from another attribute or could not be typed as a task.
    """
    _check(categories)
    attributes = {*categories, *COLOURS}
    words = {word: category for category in categories for word in _spellings(category)}
    aliases = {word: meant for word, meant in {**COLOUR_WORDS, **words}.items() if word not in attributes}
    return AttributeSpace(
        groups=(
            AttributeGroup("category", tuple(categories), 1, len(categories)),
            AttributeGroup("colour", COLOURS, 0, len(COLOURS)),
        ),
        aliases=aliases,
        fillers=_FILLERS,
    )


def tasks(space: AttributeSpace) -> tuple[Task, ...]:
    """Every category with every set of colours, then pairs of categories and all of them without a colour."""
    categories, colours = (group.attributes for group in space.groups)
    sets = [chosen for size in range(len(colours) + 1) for chosen in combinations(colours, size)]
    single = [space.task((category, *chosen)) for category in categories for chosen in sets]
    several = [space.task(chosen) for chosen in (*combinations(categories, 2), categories)]
    return tuple(dict.fromkeys([*single, *several]))


def held_out(space: AttributeSpace) -> tuple[Task, ...]:
    """One task in six of every kind, never to be trained on: those whose positions in the space have the lowest hashes.

    A kind is a category with a number of colours, or a number of categories. The rule knows no generator and no names:
    spaces of equal size hold out the same combinations. A category by itself is the only one of its kind and stays.
    """
    kinds: dict[tuple[object, int], list[Task]] = {}
    for task in tasks(space):
        query = Query.of(task)
        several = len(query.categories) if len(query.categories) > 1 else query.categories
        kinds.setdefault((several, len(query.colours)), []).append(task)
    ranked = (sorted(kind, key=lambda task: _hash(space, task)) for kind in kinds.values())
    chosen = {task for kind in ranked for task in kind[: round(len(kind) / _HELD_OUT_SHARE)]}
    return tuple(task for task in tasks(space) if task in chosen)


def trained(space: AttributeSpace) -> tuple[Task, ...]:
    """All tasks that are not held out."""
    left_out = set(held_out(space))
    return tuple(task for task in tasks(space) if task not in left_out)


@dataclass(frozen=True)
class Query:
    """What a task asks for: objects of any of `categories`, and of any of `colours` unless there are none."""

    categories: frozenset[str]
    colours: frozenset[str]

    @classmethod
    def of(cls, task: Task) -> Query:
        names = frozenset(task.attributes)
        return cls(names - frozenset(COLOURS), names & frozenset(COLOURS))

    def wants(self, candidate: DetectionObject) -> bool:
        """Whether the task's detector should find this object. A crowd region is never an object."""
        fits = not self.colours or candidate.colour in self.colours
        return fits and candidate.category in self.categories and not candidate.crowd

    def ignores(self, candidate: DetectionObject) -> bool:
        """Whether detections there count neither for nor against: a crowd of a wanted category, of any colour."""
        return candidate.crowd and candidate.category in self.categories

    def split(self, objects: Iterable[DetectionObject]) -> tuple[list[DetectionObject], list[DetectionObject]]:
        """The wanted objects, and the regions to ignore."""
        objects = list(objects)
        return [each for each in objects if self.wants(each)], [each for each in objects if self.ignores(each)]


def _check(categories: Sequence[str]) -> None:
    if not categories or len(set(categories)) != len(categories):
        raise InputError(f"a task space needs different categories, got {', '.join(categories) or 'none'}")
    for name in categories:
        if name in COLOURS:
            raise InputError(f"category {name!r} is the name of a colour group; rename it in the annotation file")
        if not re.fullmatch(r"[^\s,|;/A-Z]+( [^\s,|;/A-Z]+)*", name):
            raise InputError(
                f"category {name!r} cannot be typed as a task: it must be in lower case, without any of , | ; / and "
                "with single spaces; rename it in the annotation file"
            )


def _spellings(category: str) -> Iterator[str]:
    """Other ways to write a category: plurals, "digit 3", "3s", "threes"."""
    yield from (_plural(category), *_IRREGULAR.get(category, ()))
    yield from (category.replace("-", " "), _plural(category.replace("-", " ")))
    if match := re.fullmatch(r"digit-(\d)", category):
        number, word = match[1], _DIGIT_WORDS[int(match[1])]
        yield from (number, f"{number}s", word, _plural(word), f"digits {number}")


def _plural(word: str) -> str:
    if re.search(r"(s|x|ch|sh)$", word):
        return f"{word}es"
    return f"{word[:-1]}ies" if re.search(r"[^aeiou]y$", word) else f"{word}s"


def _hash(space: AttributeSpace, task: Task) -> str:
    return hashlib.sha256(space.encode(task.attributes).astype("uint8").tobytes()).hexdigest()
