"""The detection loss: which anchor points hold a wanted object, and where its box is.

Objects are assigned to anchor points by level and by centre, as in FCOS (Tian et al. 2019), whether or not the point
lies in the box: a handwritten one is narrower than a cell. Scores learn the quality of the point's own box, by the
quality focal loss (Li et al. 2020, eq. 6); boxes learn by their generalised IoU (Rezatofighi et al. 2019).

Shapes: `B` samples, `L` anchor points, `M` objects per image, `K` scores per anchor point.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .boxes import Grid

_RADIUS = 1.0  # strides around an object's centre, within which anchor points learn to find it: four of them
_LARGEST = 4.0  # strides, the longer side of a level's largest objects; the coarsest level takes all larger ones
_BOX_WEIGHT = 2.0
_TINY = 1e-7  # keeps an empty box from dividing by zero
_LEAST_QUALITY = 0.5  # target score of an object whose box is still wrong: what it is can be learnt before where


@dataclass(frozen=True)
class DetectionLoss:
    """The loss of a step, and the mean IoU of the boxes at anchor points that should hold one; scalars."""

    total: Tensor
    overlap: Tensor


def assign(grid: Grid, boxes: Tensor, eligible: Tensor) -> Tensor:
    """The index of the object each anchor point is to find, `(B, L)`; -1 for none, the smallest of several.

    `boxes` are `(B, M, 4)`, `eligible` `(B, M)`.
    """
    centres, stride = grid.points(boxes)  # (L, 2), (L,)
    x, y = centres[:, 0, None], centres[:, 1, None]  # (L, 1)
    x0, y0, x1, y1 = boxes[:, None].unbind(3)  # (B, 1, M) each
    near = _RADIUS * stride[:, None]
    central = ((x - (x0 + x1) / 2).abs() < near) & ((y - (y0 + y1) / 2).abs() < near)
    longer = torch.maximum(x1 - x0, y1 - y0)  # (B, 1, M)
    finest, coarsest = min(grid.strides), max(grid.strides)
    fits = (longer > _LARGEST / 2 * stride[:, None]) | (stride[:, None] == finest)
    fits &= (longer <= _LARGEST * stride[:, None]) | (stride[:, None] == coarsest)
    area = (x1 - x0) * (y1 - y0)  # (B, 1, M)
    cost = torch.where(central & fits & eligible[:, None], area, torch.inf)  # (B, L, M)
    least, index = cost.min(2)  # (B, L)
    return torch.where(least < torch.inf, index, -1)


def detection_loss(
    outputs: Tensor, grid: Grid, boxes: Tensor, eligible: Tensor, labels: Tensor, asked: Tensor, ignored: Tensor
) -> DetectionLoss:
    """The loss of outputs `(B, L, 4 + K)`. All samples weigh the same, however many objects they have.

    Args:
        boxes: `(B, M, 4)`.
        eligible: `(B, M)`, the objects to be found.
        labels: `(B, M, K)`, the scores each object should have, 0 or 1.
        asked: `(B, K)`, the scores that count.
        ignored: `(B, M)`, the boxes within which no anchor point counts, unless it has an object to find.
    """
    index = assign(grid, boxes, eligible)  # (B, L)
    positive = index >= 0
    at = index.clamp_min(0)[..., None]
    target = boxes.gather(1, at.expand(-1, -1, 4))  # (B, L, 4)
    predicted = grid.boxes(outputs[..., :4])  # (B, L, 4)
    generalised = box_loss(predicted, target)  # (B, L)
    overlap = (_overlap(predicted, target).detach() * positive)[..., None]  # (B, L, 1)
    quality = positive[..., None] * (_LEAST_QUALITY + (1 - _LEAST_QUALITY) * overlap)  # (B, L, 1)
    wanted = labels.gather(1, at.expand(-1, -1, labels.shape[2])) * quality  # (B, L, K)
    scores = outputs[..., 4:]
    focal = (scores.sigmoid() - wanted).square() * F.binary_cross_entropy_with_logits(scores, wanted, reduction="none")
    counted = asked[:, None] & (positive | ~_covered(grid, boxes, ignored))[..., None]  # (B, L, K)
    n_positive = positive.sum(1).clamp_min(1)  # (B,)
    score_loss = (focal * counted).sum((1, 2)) / n_positive
    where_loss = torch.where(positive, generalised, 0.0).sum(1) / n_positive
    mean_overlap = overlap.sum() / positive.sum().clamp_min(1)
    return DetectionLoss((score_loss + _BOX_WEIGHT * where_loss).mean(), mean_overlap)


def box_loss(one: Tensor, other: Tensor) -> Tensor:
    """One minus the generalised IoU of pairs of boxes, `(B, L)`: torchvision's, whose masks would wait for the GPU."""
    shared, union = _shared_and_union(one, other)
    low, high = torch.minimum(one[..., :2], other[..., :2]), torch.maximum(one[..., 2:], other[..., 2:])
    hull = _area(high - low)
    return 1 - (shared / (union + _TINY) - (hull - union) / (hull + _TINY))


def _overlap(one: Tensor, other: Tensor) -> Tensor:
    """The IoU of pairs of boxes, `(B, L)`."""
    shared, union = _shared_and_union(one, other)
    return shared / union.clamp_min(1e-6)


def _shared_and_union(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """The areas that pairs of boxes have in common and cover together, `(B, L)` each."""
    low, high = torch.maximum(one[..., :2], other[..., :2]), torch.minimum(one[..., 2:], other[..., 2:])
    shared = _area((high - low).clamp_min(0))
    return shared, _area(one[..., 2:] - one[..., :2]) + _area(other[..., 2:] - other[..., :2]) - shared


def _area(size: Tensor) -> Tensor:
    """Of widths and heights `(..., 2)`; the gradient of `prod` would wait for the GPU."""
    return size[..., 0] * size[..., 1]


def _covered(grid: Grid, boxes: Tensor, regions: Tensor) -> Tensor:
    """The anchor points that lie in one of the regions, `(B, L)`."""
    x, y = grid.points(boxes)[0].T[:, :, None]  # (L, 1) each
    x0, y0, x1, y1 = boxes[:, None].unbind(3)  # (B, 1, M) each
    within = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
    return (within & regions[:, None]).any(2)
