"""Attributed object detection as a task domain: find the objects of some categories and colours.

Shapes: `B` images of `(3, S, S)`, `L` anchor points, `K` categories, `M` objects an image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import box_iou

from ...errors import InputError
from ...supernet.backbones import Backbone
from ...tasks.attributes import AttributeSpace, Task
from ...tasks.domain import MAP50, ScoreName, Split
from . import attrod
from .attrod import Query
from .boxes import Detections, Grid, decode
from .detector import STRIDES
from .letterboxed import LetterboxedImages
from .mean_ap import Truth, mean_ap

_SAME = 0.9  # IoU, from which on two models are taken to mean the same box
MIN_SCORE = 0.01  # of boxes that count for the precision at low scores


def grid_of(backbone: Backbone) -> Grid:
    """The anchor points of a recipe's detector. Raises `InputError` for another backbone, and for a side that is no
    multiple of the strides."""
    if backbone.name != "detector":
        raise InputError('attributed detection needs a detector as backbone: name = "detector" in the recipe')
    return Grid(backbone.image_shape[-1], tuple(backbone.arguments.get("strides", STRIDES)))


@dataclass(frozen=True)
class DetectionExamples:
    """Images `(B, 3, S, S)` in [0, 1] of one task and what is to be found on each; outputs are `(B, L, 4 + K)`."""

    images: NDArray[np.float32]
    truths: tuple[Truth, ...]
    grid: Grid
    asked: tuple[int, ...]
    score_name: ScoreName = MAP50

    def score(self, outputs: NDArray[np.float32]) -> float:
        """Mean average precision at an overlap of one half, over the asked categories that are there."""
        return mean_ap(self.truths, self.detections(outputs), self.asked)

    def agreement(self, one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
        """The share of boxes with a score above one half that both found, overlapping and of the same category."""
        pairs = zip(*(decode(each, self.grid, self.asked, 0.5) for each in (one, other)), strict=True)
        matches = [(_matches(first, second), len(first), len(second)) for first, second in pairs]
        matched, ones, others = (sum(column) for column in zip(*matches, strict=True))
        return 1.0 if ones + others == 0 else 2 * matched / (ones + others)

    def detections(self, outputs: NDArray[np.float32]) -> list[Detections]:
        return decode(outputs, self.grid, self.asked, MIN_SCORE)


@dataclass(frozen=True)
class AttrOd:
    """The domain, over sets of images that are loaded when they are first asked for."""

    categories: tuple[str, ...]
    grid: Grid
    load: Callable[[Split], LetterboxedImages]
    data: str
    name: str = "attrod"
    score_name: ScoreName = MAP50
    _loaded: dict[Split, LetterboxedImages] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def space(self) -> AttributeSpace:
        return attrod.attrod_space(self.categories)

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        return attrod.tasks(self.space)

    @cached_property
    def held_out(self) -> tuple[Task, ...]:
        return attrod.held_out(self.space)

    def images(self, split: Split) -> LetterboxedImages:
        if split not in self._loaded:
            self._loaded[split] = self.load(split)
        return self._loaded[split]

    def asked(self, task: Task) -> tuple[int, ...]:
        """The scores that a task's detector is asked for, as indices of categories."""
        wanted = Query.of(task).categories
        return tuple(index for index, name in enumerate(self.categories) if name in wanted)

    def covers(self, task: Task, split: Split) -> bool:
        return bool(self.images(split).wanted(Query.of(task)).any())

    def describe(self, task: Task) -> dict[str, Any]:
        """The scores' categories, which of them the task asks for, and the grid of anchor points."""
        return {
            "name": self.name, "categories": list(self.categories), "asked": list(self.asked(task)),
            "side": self.grid.side, "strides": list(self.grid.strides),
        }  # fmt: skip

    def outputs(self, task: Task) -> None:
        return None

    def count(self, task: Task) -> int | None:
        return int(self.images("train").wanted(Query.of(task)).sum())

    def examples(self, task: Task, split: Split, n: int, rng: np.random.Generator) -> DetectionExamples:
        """At most `n` images, half of them with something to find where there are so many."""
        if not self.covers(task, split):
            raise InputError(
                f"no {split} image of {self.data} holds what '{task}' asks for, so that no model for it can be judged; "
                "use more images, or a task with more of its objects"
            )
        images, query = self.images(split), Query.of(task)
        wanted, ignored = images.wanted(query), images.ignored(query)  # (N, M)
        holds = wanted.any(axis=1)  # (N,)
        holding = rng.permutation(np.flatnonzero(holds))[: n // 2 + n % 2]
        others = rng.permutation(np.flatnonzero(~holds))[: n - len(holding)]
        chosen = np.sort(np.concatenate([holding, others]))
        counted = (wanted | ignored)[chosen]  # (B, M)
        letterboxed = images.of(chosen)
        truths = [
            Truth(letterboxed.boxes[row][use], letterboxed.category[row][use], ignored[chosen[row]][use])
            for row, use in enumerate(counted)
        ]
        pixels = letterboxed.pixels.astype(np.float32) / np.float32(255)  # (B, 3, S, S)
        return DetectionExamples(pixels, tuple(truths), self.grid, self.asked(task))


def _matches(one: Detections, other: Detections) -> int:
    """How many boxes of one are also the other's; each counts once, the surest first."""
    overlaps = box_iou(torch.from_numpy(one.boxes), torch.from_numpy(other.boxes)).numpy()  # (n, m)
    same = (overlaps >= _SAME) & (one.categories[:, None] == other.categories[None, :])
    count = 0
    for row in range(len(one)):
        columns = np.flatnonzero(same[row])
        if len(columns):
            same[:, columns[0]] = False
            count += 1
    return count
