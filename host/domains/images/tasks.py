"""Which tasks of a label space are trained and judged, by a fixed rule: the order of their names' hashes.

All combinations of labels are too many to judge. Of each kind and size some are chosen, and of these the last sixth is
never trained, so that what a supernet makes of new combinations is seen.

Shapes: none; a task is a `Question` about labels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import combinations, islice, permutations
from math import comb

import numpy as np

from ...tasks import Task
from .question import Question
from .space import LabelSpace

SIZES = (2, 3, 4, 5)
"""Of how many labels tasks ask which one it is."""
PER_SIZE, PER_KIND, MAX_SINGLE = 30, 12, 30
HELD_OUT = 6  # one in so many


@lru_cache(maxsize=8)
def all_tasks(space: LabelSpace) -> tuple[Task, ...]:
    return tuple(task for part in _parts(space) for task in part)


@lru_cache(maxsize=8)
def held_out(space: LabelSpace) -> tuple[Task, ...]:
    """The last sixth of every kind of combination; single labels, and all labels of a group, are always trained."""
    whole = {space.task_of(Question(which=mine)) for mine in space.exclusive}
    combined = (part for part in _parts(space)[1:] if not whole.intersection(part))
    return tuple(task for part in combined for task in part[len(part) - len(part) // HELD_OUT :])


def random_tasks(space: LabelSpace, n: int, rng: np.random.Generator) -> list[Task]:
    """At most `n` other tasks, of all kinds alike, none of them held out."""
    taken = {*all_tasks(space)}
    kinds = (_random_which, _random_any, _random_all)
    found: dict[Task, None] = {}
    for trial in range(4 * n):  # small spaces have fewer
        question = kinds[trial % len(kinds)](space, rng)
        task = None if question is None else space.task_of(question)
        if task is not None and task not in taken:
            found[task] = None
        if len(found) == n:
            break
    return list(found)


def _parts(space: LabelSpace) -> list[list[Task]]:
    """Single labels first, then every kind and size of combination."""
    singles = _chosen(space, (Question(must=frozenset({index})) for index in range(len(space.labels))), MAX_SINGLE)
    parts = [singles]
    for mine in space.exclusive:
        parts += [_chosen(space, _which(mine, size), PER_SIZE) for size in SIZES if size < len(mine)]
        parts.append([space.task_of(Question(which=mine))])
    parts.append(_chosen(space, _any(space), PER_KIND))
    parts.append(_chosen(space, _both(space), PER_KIND))
    parts.append(_chosen(space, _not(space), PER_KIND))
    return [list(part) for part in parts if part]


def _chosen(space: LabelSpace, questions: Iterable[Question], n: int) -> list[Task]:
    tasks = {space.task_of(question) for question in questions}
    return sorted(tasks, key=lambda task: hashlib.sha256(str(task).encode()).hexdigest())[:n]


_MANY = 5_000


def _some(mine: tuple[int, ...], size: int) -> Iterator[tuple[int, ...]]:
    """All combinations, or as many drawn from a fixed seed where there are very many."""
    if comb(len(mine), size) <= _MANY:
        return combinations(mine, size)
    rng = np.random.default_rng([len(mine), size])
    return (tuple(sorted(rng.choice(mine, size, replace=False).tolist())) for _ in range(4 * PER_SIZE))


def _which(mine: tuple[int, ...], size: int) -> Iterator[Question]:
    return (Question(which=some) for some in _some(mine, size))


def _any(space: LabelSpace) -> Iterator[Question]:
    for mine in space.exclusive:
        for size in (2, 3):
            if size < len(mine):
                yield from (Question(any_of=(frozenset(some),)) for some in _some(mine, size))


def _both(space: LabelSpace) -> Iterator[Question]:
    for one, other in islice(combinations(range(len(space.labels)), 2), _MANY):
        if space.is_mixed(one, other) and space.is_mixed(other, one):
            yield Question(must=frozenset({one, other}))


def _not(space: LabelSpace) -> Iterator[Question]:
    for one, other in islice(permutations(range(len(space.labels)), 2), _MANY):
        if space.is_mixed(one, other):
            yield Question(must=frozenset({one}), never=frozenset({other}))


def _random_which(space: LabelSpace, rng: np.random.Generator) -> Question | None:
    groups = [mine for mine in space.exclusive if len(mine) > 2]
    if not groups:
        return None
    mine = groups[rng.integers(len(groups))]
    size = int(rng.integers(2, min(max(SIZES), len(mine)) + 1))
    return Question(which=tuple(sorted(rng.choice(mine, size, replace=False).tolist())))


def _random_any(space: LabelSpace, rng: np.random.Generator) -> Question | None:
    groups = [mine for mine in space.exclusive if len(mine) > 2]
    if not groups:
        return None
    mine = groups[rng.integers(len(groups))]
    size = int(rng.integers(2, min(6, len(mine) - 1) + 1))
    return Question(any_of=(frozenset(rng.choice(mine, size, replace=False).tolist()),))


def _random_all(space: LabelSpace, rng: np.random.Generator) -> Question | None:
    """A label, and one to three others of which some of its images have each; these are negated more often than not."""
    first = int(rng.integers(len(space.labels)))
    others = [other for other in range(len(space.labels)) if space.is_mixed(first, other)]
    if not others:
        return None
    chosen = rng.choice(others, min(int(rng.integers(1, 4)), len(others)), replace=False).tolist()
    must = {first, *(other for other in chosen if rng.random() < 0.4 and space.is_mixed(other, first))}
    if any(len(must & set(mine)) > 1 for mine in space.exclusive):
        must = {first}
    return Question(must=frozenset(must), never=frozenset(chosen) - must)
