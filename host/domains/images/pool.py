"""The tasks that training draws from, and how often: broad and narrow ones alike.

There are far more tasks that ask about several labels than single ones; drawn by their number, the few broad or narrow
ones would hardly be learnt.

Shapes: `Q` tasks, `P` patterns of labels that occur, `A` labels, `T` numbers of a task's encoding, `R` = 2 + A outputs
of a supernet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...tasks import Task
from .domain import LabelDomain
from .question import Question


@dataclass(frozen=True)
class Pool:
    """Of each task: its encoding `(Q, T)`, the outputs that answer it `(Q, R)`, where a pattern's answer is yes
    `(Q, P)`, which labels it tells apart `(Q, A)`, and how often it is drawn `(Q,)`."""

    encoding: NDArray[np.float32]
    asked: NDArray[np.bool_]
    yes: NDArray[np.bool_]
    which: NDArray[np.bool_]
    share: NDArray[np.float64]

    @classmethod
    def of(
        cls, domain: LabelDomain, asked: Sequence[Task], extra: Sequence[Task], extra_share: float, which_share: float
    ) -> Pool:
        """`extra` tasks are drawn for a share of the samples, those that tell labels apart for `which_share`."""
        space, has = domain.space, domain.patterns("train").has
        questions = [space.question(task) for task in (*asked, *extra)]
        first, second = questions[: len(asked)], questions[len(asked) :]
        parts = [(1 - extra_share) * shares(first, which_share), extra_share * shares(second, which_share)]
        return cls(
            encoding=np.stack([space.encoded(each) for each in questions]),
            asked=_marked([each.output_rows for each in questions], domain.n_outputs),
            yes=np.stack([each.holds(has) & (not each.which) for each in questions]),
            which=_marked([each.which for each in questions], len(space.labels)),
            share=np.concatenate(parts) if extra else shares(first, which_share),
        )


def shares(questions: Sequence[Question], which_share: float) -> NDArray[np.float64]:
    """How often each is drawn `(Q,)`, of sum one: the two kinds by `which_share`, and within a kind all sizes alike."""
    if not questions:
        return np.zeros(0)
    kinds = [(bool(each.which), _size(each)) for each in questions]
    of_size, n_sizes = Counter(kinds), Counter(tells_apart for tells_apart, _ in set(kinds))
    of_kind = {True: which_share, False: 1 - which_share} if len(n_sizes) > 1 else {True: 1.0, False: 1.0}
    share = np.array([of_kind[kind[0]] / n_sizes[kind[0]] / of_size[kind] for kind in kinds])  # (Q,)
    return share / share.sum()


def _size(question: Question) -> int:
    """How many labels it names."""
    return len(question.which) or len(question.must) + len(question.never) + sum(map(len, question.any_of))


def _marked(rows: Sequence[Sequence[int]], width: int) -> NDArray[np.bool_]:
    """`(Q, width)`, true at each row's indices."""
    marked = np.zeros((len(rows), width), bool)
    for marks, row in zip(marked, rows, strict=True):
        marks[list(row)] = True
    return marked
