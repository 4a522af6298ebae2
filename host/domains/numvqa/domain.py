"""NumVQA: images of four handwritten digits and yes/no questions about how many of them have a property.

The 60 tasks of NN-Factory (section 5): {has, only one, only two, only three, only four} x {0..9, odd, even}.
"has X" is true when at least one digit is X, "only two X" when exactly two are. For a task and an answer, the four
digits are uniform over all that give this answer; yes and no are equally frequent.

Shapes: `B` images, 4 digits an image in a 2 x 2 grid, `K` = 5 possible counts 0..4, `T` attributes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.digits import N_CLASSES, Digits, DigitSplits
from ...tasks.attributes import AttributeGroup, AttributeSpace, Task
from ...tasks.domain import ACCURACY, ScoreName, Split
from ..answers import AnswerExamples

N_DIGITS = 4
IMAGE_SIZE = 56

_COUNTS: dict[str, frozenset[int]] = {
    "has": frozenset({1, 2, 3, 4}),
    "only one": frozenset({1}),
    "only two": frozenset({2}),
    "only three": frozenset({3}),
    "only four": frozenset({4}),
}
_MEMBERS: dict[str, frozenset[int]] = {
    **{str(digit): frozenset({digit}) for digit in range(N_CLASSES)},
    "odd": frozenset({1, 3, 5, 7, 9}),
    "even": frozenset({0, 2, 4, 6, 8}),
}
_ALIASES = {
    **{f"{word} {count}": f"only {count}" for word in ("exactly", "just") for count in ("one", "two", "three", "four")},
    **{f"{digit}s": str(digit) for digit in range(N_CLASSES)},
    "odds": "odd",
    "evens": "even",
    "contains": "has",
    "any": "has",
}

SPACE = AttributeSpace(
    groups=(AttributeGroup("quantity", tuple(_COUNTS)), AttributeGroup("digit", tuple(_MEMBERS))),
    aliases=_ALIASES,
    fillers=frozenset({"a", "an", "the", "digit", "digits", "number", "numbers"}),
)
TASKS: tuple[Task, ...] = tuple(SPACE.task((count, member)) for count in _COUNTS for member in _MEMBERS)
HELD_OUT: tuple[Task, ...] = tuple(
    SPACE.parse(text)
    for text in (
        "only two, 0",
        "has, 7",
        "only one, 4",
        "only one, odd",
        "only two, 5",
        "only three, 6",
        "only three, even",
        "only four, 9",
    )
)
TRAINED: tuple[Task, ...] = tuple(task for task in TASKS if task not in HELD_OUT)


@dataclass(frozen=True)
class Question:
    """What attributes ask: which digits count, and which counts mean yes. Several of a kind mean "any of them"."""

    attributes: tuple[str, ...]
    members: frozenset[int]
    counts: frozenset[int]

    @classmethod
    def of(cls, attributes: Iterable[str]) -> Question:
        names = tuple(attributes)
        members = frozenset[int]().union(*(_MEMBERS[name] for name in names if name in _MEMBERS))
        counts = frozenset[int]().union(*(_COUNTS[name] for name in names if name in _COUNTS))
        return cls(names, members, counts)

    def answer(self, digits: NDArray[np.int64]) -> NDArray[np.bool_]:
        """`(B, 4)` digits -> `(B,)` yes or no."""
        count = np.isin(digits, list(self.members)).sum(1)  # (B,)
        return np.isin(count, list(self.counts))

    def count_weights(self, answer: bool) -> NDArray[np.float64]:
        """How often each count `(K,)` occurs among uniform digits that give `answer`; sums to one, or is all zero."""
        p = len(self.members) / N_CLASSES
        weights = np.array([math.comb(N_DIGITS, k) * p**k * (1 - p) ** (N_DIGITS - k) for k in range(N_DIGITS + 1)])
        weights[[k for k in range(N_DIGITS + 1) if (k in self.counts) != answer]] = 0.0
        return weights / weights.sum() if weights.sum() else weights


def draw_digits(
    members: NDArray[np.bool_], counts: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Digits `(B, 4)` with exactly `counts` `(B,)` of them among `members` `(B, 10)`, uniform over all such digits."""
    slot = rng.random((len(counts), N_DIGITS)).argsort(1)  # (B, 4): a random order of the four positions
    inside = slot < counts[:, None]  # (B, 4)
    allowed = np.where(inside[:, :, None], members[:, None, :], ~members[:, None, :])  # (B, 4, 10)
    return (rng.random(allowed.shape) * allowed).argmax(2).astype(np.int64)  # (B, 4)


def pick_examples(digits: NDArray[np.int64], source: Digits, rng: np.random.Generator) -> NDArray[np.int64]:
    """A random handwritten example of every digit, as an index into `source`: `(B, 4)` -> `(B, 4)`."""
    chosen = np.empty(digits.shape, np.int64)
    for digit, indices in enumerate(source.of_class()):
        where = digits == digit
        chosen[where] = rng.choice(indices, int(where.sum()))
    return chosen


def tiled(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Four digits to one picture: `(B, 4, 28, 28)` -> `(B, 1, 56, 56)`."""
    grid = images.reshape(-1, 2, 2, 28, 28).transpose(0, 1, 3, 2, 4)  # (B, 2, 28, 2, 28)
    return grid.reshape(-1, 1, IMAGE_SIZE, IMAGE_SIZE)


def tile(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Four digits to one picture in [0, 1]: `(B, 4, 28, 28)` -> `(B, 1, 56, 56)`."""
    return tiled(images).astype(np.float32) / 255.0


def draw_contents(task: Task, n: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What `n` images of one task show, digits `(B, 4)`, and its answers `(B,)`, half yes and half no."""
    question = Question.of(task.attributes)
    answers = rng.permutation(np.arange(n) % 2)  # (B,)
    counts = np.empty(n, np.int64)
    for answer in (0, 1):
        where = answers == answer
        counts[where] = rng.choice(N_DIGITS + 1, int(where.sum()), p=question.count_weights(bool(answer)))
    members = np.isin(np.arange(N_CLASSES), list(question.members))  # (10,)
    return draw_digits(np.broadcast_to(members, (n, N_CLASSES)), counts, rng), answers.astype(np.int64)


def examples(task: Task, source: Digits, n: int, rng: np.random.Generator) -> AnswerExamples:
    """`n` examples of one task, half yes and half no, from the digits in `source`."""
    digits, answers = draw_contents(task, n, rng)
    images = source.images[pick_examples(digits, source, rng)]  # (B, 4, 28, 28)
    return AnswerExamples(tile(images), answers)


@dataclass(frozen=True)
class NumVqa:
    """The domain, over some digits. Splits have no handwritten digit in common."""

    digits: DigitSplits
    name: str = "numvqa"
    score_name: ScoreName = ACCURACY
    space: AttributeSpace = SPACE
    tasks: tuple[Task, ...] = TASKS
    held_out: tuple[Task, ...] = HELD_OUT
    data: str = "handwritten digits"

    def covers(self, task: Task, split: Split) -> bool:
        return True

    def describe(self, task: Task) -> dict[str, Any]:
        return {"name": self.name, "answers": ["no", "yes"]}

    def outputs(self, task: Task) -> None:
        return None

    def count(self, task: Task) -> int | None:
        """Images are composed of digits at will."""
        return None

    def examples(self, task: Task, split: Split, n: int, rng: np.random.Generator) -> AnswerExamples:
        """`n` examples of one task, half yes and half no."""
        return examples(task, getattr(self.digits, split), n, rng)
