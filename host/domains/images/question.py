"""What a task asks about an image's labels: whether they are as told, or which of some they are.

Shapes: `n` images, `A` labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

YES_NO = ("no", "yes")
N_YES_NO = len(YES_NO)
"""The first outputs of a supernet answer yes-or-no tasks; one for each label follows."""


@dataclass(frozen=True)
class Question:
    """Indices of labels. With `which`, the question is which of these an image has, and nothing else is asked.

    Else the answer is yes where an image has all of `must`, none of `never` and, of each set of `any_of`, at least one.
    """

    must: frozenset[int] = frozenset()
    any_of: tuple[frozenset[int], ...] = ()
    never: frozenset[int] = frozenset()
    which: tuple[int, ...] = ()

    def holds(self, has: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Where the answer is yes: labels `(n, A)` -> `(n,)`."""
        yes = np.ones(len(has), np.bool_)  # (n,)
        for label in self.must:
            yes &= has[:, label]
        for label in self.never:
            yes &= ~has[:, label]
        for some in self.any_of:
            yes &= np.logical_or.reduce([has[:, label] for label in some])  # (n,)
        return yes

    def answers(self, has: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Labels `(n, A)` -> which of the answers is right `(n,)`; -1 where an image has none of `which`."""
        if not self.which:
            return self.holds(has).astype(np.int64)
        mine = has[:, self.which]  # (n, K)
        return np.where(mine.any(1), mine.argmax(1), -1)

    @property
    def output_rows(self) -> tuple[int, ...]:
        """The supernet's outputs that answer it, in the order of the answers."""
        return tuple(N_YES_NO + label for label in self.which) if self.which else tuple(range(N_YES_NO))
