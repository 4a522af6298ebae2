"""Images by their labels: many have the same, and what a task makes of one it makes of all of these.

Shapes: `n` images, `P` patterns of labels that occur, `A` labels, `B` draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Patterns:
    """The training images by their labels: `has` `(P, A)`, how many images have exactly these `(P,)`, the images in
    order of their patterns `(n,)`, and where each pattern's begin `(P,)`."""

    has: NDArray[np.bool_]
    counts: NDArray[np.int64]
    images: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, has: NDArray[np.bool_], images: NDArray[np.int64]) -> Patterns:
        """Of images `(n,)` with labels `(n, A)`."""
        patterns, inverse, counts = np.unique(has, axis=0, return_inverse=True, return_counts=True)
        order = np.argsort(inverse.ravel(), kind="stable")
        return cls(patterns, counts, images[order], np.cumsum(counts) - counts)

    def draw(self, allowed: NDArray[np.bool_], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """An image of the allowed patterns `(B, P)` for every sample, and its pattern; each `(B,)`."""
        reach = (allowed * self.counts).cumsum(1)  # (B, P)
        number = (rng.random(len(allowed)) * reach[:, -1]).astype(np.int64)  # (B,)
        pattern = (reach <= number[:, None]).sum(1)  # (B,)
        within = number - np.where(pattern > 0, np.take_along_axis(reach, (pattern - 1).clip(0)[:, None], 1)[:, 0], 0)
        return self.images[self.starts[pattern] + within], pattern
