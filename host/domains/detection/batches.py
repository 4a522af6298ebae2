"""Training batches for detectors: a task and an image per sample; each batch is a function of (seed, stage, step).

Shapes: `B` samples, `N` images of the set, `Q` tasks of the pool, `T` attributes, `K` categories, `M` objects an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import box_area

from ...tasks import AttributeSpace, Task
from ...training.objective import Sampling
from ...training.rng import draw_limits, draw_questions, moved, sent, step_rng
from . import attrod
from .attrod import COLOURS, Query
from .letterboxed import LetterboxedImages, colour_indices
from .settings import DetectionSettings

WANTED_SHARE = 0.6  # of a batch's images are sure to hold an object that is asked for
_ZOOM, _SHIFT = 0.15, 0.1  # of the side, either way
_BRIGHTNESS, _CONTRAST = 0.04, 0.08
_LEAST_LEFT = 0.4  # of an object's box must stay within the image, or the object is gone


@dataclass(frozen=True)
class DetectionBatch:
    """Images `(B, 3, S, S)` in [0, 1], multi-hot tasks `(B, T)`, limits `(B,)` and asked categories `(B, K)`; per
    object its box `(B, M, 4)`, and as `(B, M)` its category, its colour, and whether it is there at all, is wanted, is
    a region that the task ignores, and is a crowd of any category."""

    images: Tensor
    tasks: Tensor
    limits: Tensor
    asked: Tensor
    boxes: Tensor
    category: Tensor
    colour: Tensor
    there: Tensor
    wanted: Tensor
    ignored: Tensor
    crowd: Tensor

    def to(self, device: torch.device, dtype: torch.dtype) -> DetectionBatch:
        """Everything on `device`, images and tasks in `dtype`."""
        return moved(self, device, dtype)


@dataclass(frozen=True)
class DetectionDraw:
    """A batch before its images are varied: `plain` has pixels uint8 as images; `variation` is `(B, 5)` in [-1, 1), and
    `mirrored` `(B,)`. Without these images stay as they are."""

    plain: DetectionBatch
    variation: Tensor | None
    mirrored: Tensor | None

    def to(self, device: torch.device, dtype: torch.dtype) -> DetectionBatch:
        """The batch; its images are varied on `device`."""
        there = replace(self.plain, images=sent(self.plain.images, device).float() / 255)
        batch = there.to(device, torch.float32)
        if self.variation is not None and self.mirrored is not None:
            batch = _varied(batch, sent(self.variation, device).T, sent(self.mirrored, device))
        return batch.to(device, dtype)


def augmented_tasks(space: AttributeSpace) -> list[tuple[str, ...]]:
    """All sets of categories with all sets of colours that are not tasks: what enlarges the pool."""
    categories, colours = (group.attributes for group in space.groups)
    sets = [chosen for size in range(len(colours) + 1) for chosen in combinations(colours, size)]
    several = [chosen for size in range(2, len(categories) + 1) for chosen in combinations(categories, size)]
    taken = {frozenset(task.attributes) for task in attrod.tasks(space)}
    pool = [(*some, *chosen) for some, chosen in product(several, sets)]
    return [names for names in pool if frozenset(names) not in taken]


class DetectionSource:
    """Draws batches from a set of images, of the given tasks and a share of augmented ones."""

    def __init__(
        self,
        sampling: Sampling,
        settings: DetectionSettings,
        images: LetterboxedImages,
        space: AttributeSpace,
        asked: Sequence[Task],
    ) -> None:
        self.sampling, self.settings, self.images, self.space = sampling, settings, images, space
        extra = augmented_tasks(space) if sampling.augmented_share else []
        names = [*(task.attributes for task in asked), *extra[: sampling.n_augmented_tasks]]
        self.n_tasks = len(asked)
        self.encoding = np.stack([space.encode(each) for each in names])  # (Q, T)
        self.queries = [Query.of(Task(tuple(each))) for each in names]
        self.asked = np.stack([_asked(each, images.categories) for each in self.queries])  # (Q, K)
        self.colours = np.stack([_colours(each) for each in self.queries])  # (Q, 6)
        self.holding = [np.flatnonzero(images.wanted(query).any(axis=1)) for query in self.queries]  # Q times images

    def draw(self, stage: str, step: int, part: slice = slice(None)) -> DetectionDraw:
        """The batch of a step, or the part of it that one process works on."""
        n, sampling, settings = self.sampling.batch_size, self.sampling, self.settings
        rng, generator = step_rng(sampling.seed, stage, step)
        question = draw_questions(rng, n, self.n_tasks, len(self.queries), sampling.augmented_share)  # (B,)
        image = rng.integers(len(self.images), size=n)  # (B,)
        for sample in np.flatnonzero(rng.random(n) < WANTED_SHARE):
            holding = self.holding[question[sample]]
            if len(holding):
                image[sample] = holding[rng.integers(len(holding))]
        limits = draw_limits(rng, n, sampling.min_limit)  # (B,)
        mirrored = torch.rand(n, generator=generator) < 0.5 if settings.mirror else torch.zeros(n, dtype=torch.bool)
        variation = (torch.rand(5, n, generator=generator) * 2 - 1) * float(settings.augmentation)  # (5, B)
        batch = self._batch(question[part], image[part], limits[part])
        varies = settings.augmentation or settings.mirror
        return DetectionDraw(batch, variation.T[part], mirrored[part]) if varies else DetectionDraw(batch, None, None)

    def _batch(
        self, question: NDArray[np.int64], image: NDArray[np.int64], limits: NDArray[np.float32]
    ) -> DetectionBatch:
        letterboxed = self.images.of(image)
        asked, there = self.asked[question], letterboxed.category >= 0  # (B, K), (B, M)
        of_category = there & np.take_along_axis(asked, letterboxed.category.clip(0), 1)  # (B, M)
        of_colour = np.take_along_axis(self.colours[question], letterboxed.colour, 1)  # (B, M)
        return DetectionBatch(
            images=torch.from_numpy(letterboxed.pixels),
            tasks=torch.from_numpy(self.encoding[question]),
            limits=torch.from_numpy(limits),
            asked=torch.from_numpy(asked),
            boxes=torch.from_numpy(letterboxed.boxes),
            category=torch.from_numpy(letterboxed.category),
            colour=torch.from_numpy(letterboxed.colour),
            there=torch.from_numpy(there & ~letterboxed.crowd),
            wanted=torch.from_numpy(of_category & of_colour & ~letterboxed.crowd),
            ignored=torch.from_numpy(of_category & letterboxed.crowd),
            crowd=torch.from_numpy(letterboxed.crowd),
        )


def _asked(query: Query, categories: Sequence[str]) -> NDArray[np.bool_]:
    """Which categories a query is about, `(K,)`."""
    return np.isin(categories, list(query.categories))


def _colours(query: Query) -> NDArray[np.bool_]:
    """Which colours an object may have, that of none the last, `(6,)`."""
    n = len(COLOURS) + 1
    return np.isin(np.arange(n), colour_indices(query.colours)) if query.colours else np.ones(n, bool)


def _varied(batch: DetectionBatch, draw: Tensor, mirrored: Tensor) -> DetectionBatch:
    """Zoom, shift, mirror and unevenly expose images, and move boxes with them; `draw` is `(5, B)` in [-1, 1)."""
    side = batch.images.shape[-1]
    zoom = 1 + _ZOOM * draw[0]  # (B,)
    flip = torch.where(mirrored, -1.0, 1.0)
    transform = torch.zeros(len(zoom), 2, 3, device=zoom.device)
    transform[:, 0, 0], transform[:, 1, 1] = flip / zoom, 1 / zoom
    transform[:, :, 2] = -2 * _SHIFT * draw[1:3].T / zoom[:, None] * torch.stack([flip, torch.ones_like(flip)], 1)
    grid = F.affine_grid(transform, list(batch.images.shape), align_corners=False)  # (B, S, S, 2)
    images = F.grid_sample(batch.images - 0.5, grid, align_corners=False) + 0.5  # grey where nothing is
    contrast, brightness = 1 + _CONTRAST * draw[3], _BRIGHTNESS * draw[4]
    images = ((images - 0.5) * contrast[:, None, None, None] + 0.5 + brightness[:, None, None, None]).clamp(0, 1)
    boxes = _moved(batch.boxes, zoom, _SHIFT * side * draw[1:3].T, mirrored, side)
    left = box_area(boxes.clamp(0, side)) >= _LEAST_LEFT * box_area(boxes)  # (B, M)
    there, wanted = batch.there & left, batch.wanted & left  # a region is ignored however little is left of it
    return replace(batch, images=images, boxes=boxes.clamp(0, side), there=there, wanted=wanted)


def _moved(boxes: Tensor, zoom: Tensor, shift: Tensor, mirrored: Tensor, side: int) -> Tensor:
    """Boxes `(B, M, 4)` mirrored, zoomed about the image's centre, then shifted by `(B, 2)` pixels."""
    x0, y0, x1, y1 = boxes.unbind(2)  # (B, M) each
    turned = mirrored[:, None]
    x0, x1 = torch.where(turned, side - x1, x0), torch.where(turned, side - x0, x1)
    corners = torch.stack([x0, y0, x1, y1], 2)
    return (corners - side / 2) * zoom[:, None, None] + side / 2 + shift.repeat(1, 2)[:, None]
