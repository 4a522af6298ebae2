"""From a detector's raw numbers to boxes: decoding and non-maximum suppression, always on the host.

Shapes: `B` images, `L` anchor points over all levels, `K` categories, `n` boxes; a box is x0, y0, x1, y1 in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import batched_nms, clip_boxes_to_image

from ...errors import InputError

_LARGEST = 5.0  # logarithm of a width in strides; beyond it is a box wider than any image
MIN_SCORE = 0.05
MAX_OVERLAP = 0.5  # IoU, above which of two boxes of a category the better stays
MAX_BOXES = 100  # an image, as COCO counts


@dataclass(frozen=True)
class Grid:
    """A detector's anchor points: the middles of cells of `strides` pixels, over a square image of `side`."""

    side: int
    strides: tuple[int, ...]
    _points: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        if self.side < 1 or not self.strides or any(stride < 1 or self.side % stride for stride in self.strides):
            raise InputError(f"a side of {self.side} pixels is no multiple of the strides {list(self.strides)}")

    @cached_property
    def centres(self) -> Tensor:
        """`(L, 2)`, x and y."""
        levels = []
        for stride in self.strides:
            middles = (torch.arange(self.side // stride) + 0.5) * stride  # (H,)
            down, across = torch.meshgrid(middles, middles, indexing="ij")
            levels.append(torch.stack([across, down], 2).reshape(-1, 2))  # (H W, 2)
        return torch.cat(levels)

    @cached_property
    def stride_of(self) -> Tensor:
        """The stride of each anchor point's level, `(L,)`."""
        counts = torch.tensor([(self.side // stride) ** 2 for stride in self.strides])
        return torch.tensor(self.strides, dtype=torch.float32).repeat_interleave(counts)

    def points(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """`centres` and `stride_of` on the device and in the dtype of `like`; copied there once."""
        where = like.device, like.dtype
        if where not in self._points:
            self._points[where] = self.centres.to(like), self.stride_of.to(like)
        return self._points[where]

    def boxes(self, raw: Tensor) -> Tensor:
        """Raw numbers `(B, L, 4)` -> boxes `(B, L, 4)`: the offset of the middle from the anchor point,
        and the logarithms of width and height, all in strides."""
        centres, strides = self.points(raw)
        stride = strides[:, None]  # (L, 1)
        middles = centres + raw[..., :2] * stride  # (B, L, 2)
        halves = raw[..., 2:].clamp(max=_LARGEST).exp() * stride / 2
        return torch.cat([middles - halves, middles + halves], -1)


@dataclass(frozen=True)
class Detections:
    """What was found on one image, the surest first: boxes `(n, 4)`, scores `(n,)`, indices of categories `(n,)`."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    categories: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)


def decode(
    outputs: NDArray[np.float32], grid: Grid, categories: Sequence[int], min_score: float = MIN_SCORE
) -> list[Detections]:
    """What a detector's outputs `(B, L, 4 + K)` say about some categories, image by image.

    Raises `InputError` for outputs of another grid.
    """
    raw = torch.from_numpy(np.ascontiguousarray(outputs, np.float32))
    if raw.ndim != 3 or raw.shape[1] != len(grid.centres) or raw.shape[2] <= 4 + max(categories, default=-1):
        raise InputError(
            f"outputs of shape {tuple(raw.shape)} are not those of a detector with {len(grid.centres)} anchor points "
            f"(side {grid.side}, strides {list(grid.strides)})"
        )
    boxes = clip_boxes_to_image(grid.boxes(raw[..., :4]), (grid.side, grid.side))  # (B, L, 4)
    scores = raw[..., [4 + index for index in categories]].sigmoid()  # (B, L, k)
    return [_suppressed(*each, categories, min_score) for each in zip(boxes, scores, strict=True)]


def _suppressed(boxes: Tensor, scores: Tensor, categories: Sequence[int], min_score: float) -> Detections:
    """Boxes `(L, 4)` and scores `(L, k)` of one image."""
    point, column = (scores > min_score).nonzero(as_tuple=True)  # (n,) each
    boxes, sure = boxes[point], scores[point, column]
    kept = batched_nms(boxes, sure, column, MAX_OVERLAP)[:MAX_BOXES]
    names = torch.tensor(list(categories), dtype=torch.int64)[column[kept]]
    return Detections(boxes[kept].numpy(), sure[kept].numpy(), names.numpy())
