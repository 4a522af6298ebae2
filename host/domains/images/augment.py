"""Random variations of training images; every image has draws of its own, and all are computed at once.

Shapes: `B` images of `(C, H, W)`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...training.rng import sent
from .settings import ImageSettings

_ERASED = (0.02, 0.2)  # of an image's area
_RATIO = (3 / 4, 4 / 3)  # width by height of a cut
_GREY = 0.5


@dataclass(frozen=True)
class Variations:
    """Uniform draws in [0, 1) for images, `(9, B)`, and what they decide."""

    draws: Tensor

    @classmethod
    def draw(cls, n: int, generator: torch.Generator) -> Variations:
        return cls(torch.rand(9, n, generator=generator))

    def of(self, part: slice) -> Variations:
        return Variations(self.draws[:, part])

    def to(self, device: torch.device) -> Variations:
        return Variations(sent(self.draws, device))

    def applied(self, images: Tensor, settings: ImageSettings) -> Tensor:
        """A varied copy of images `(B, C, H, W)` in [0, 1]."""
        height, width = images.shape[2:]
        rows = columns = torch.ones_like(self.draws[0])  # (B,), of the part that is shown, as a share of the side
        down = right = torch.zeros_like(rows)  # (B,), of its middle, from -1 to 1
        if settings.least_area < 1:
            rows, columns, down, right = self._cut(settings.least_area)
        elif settings.shift:
            down, right = self._shift(settings.shift, height, width)
        if settings.mirror:
            columns = torch.where(self.draws[0] < 0.5, -columns, columns)
        if settings.least_area < 1 or settings.shift or settings.mirror:
            images = _sampled(images, rows, columns, down, right)
        return self._erased(images, settings.erase) if settings.erase else images

    def _shift(self, share: float, height: int, width: int) -> tuple[Tensor, Tensor]:
        """By whole pixels; what comes into view is the image's own edge, mirrored."""
        margin = round(share * max(height, width))
        pixels = ((2 * margin + 1) * self.draws[1:3]).floor() - margin  # (2, B)
        return 2 * pixels[0] / height, 2 * pixels[1] / width

    def _cut(self, least_area: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        area = least_area + (1 - least_area) * self.draws[3]  # (B,)
        ratio = (math.log(_RATIO[0]) + math.log(_RATIO[1] / _RATIO[0]) * self.draws[4]).exp()  # (B,)
        rows, columns = (area / ratio).sqrt().clamp_max(1), (area * ratio).sqrt().clamp_max(1)
        return rows, columns, (1 - rows) * (2 * self.draws[5] - 1), (1 - columns) * (2 * self.draws[6] - 1)

    def _erased(self, images: Tensor, share: float) -> Tensor:
        """A grey rectangle on a share of the images."""
        chance, area, down, right = self.draws[5:9]  # (B,) each
        side = (_ERASED[0] + (_ERASED[1] - _ERASED[0]) * area).sqrt()
        rows, columns = (_within(side, start, n) for start, n in zip((down, right), images.shape[2:], strict=True))
        erased = (chance < share)[:, None, None] & rows[:, :, None] & columns[:, None, :]  # (B, H, W)
        return images.masked_fill(erased[:, None], _GREY)


def _sampled(images: Tensor, rows: Tensor, columns: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """The parts of images `(B, C, H, W)`, at their size; `columns` below zero mirror."""
    zero = torch.zeros_like(rows)
    maps = torch.stack([columns, zero, right, zero, rows, down], 1).reshape(-1, 2, 3)  # (B, 2, 3)
    grid = F.affine_grid(maps.to(images.dtype), list(images.shape), align_corners=False)  # (B, H, W, 2)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _within(side: Tensor, start: Tensor, n: int) -> Tensor:
    """Which of `n` pixels lie in a stretch of a share `side` `(B,)`, placed by a draw `start` `(B,)`: `(B, n)`."""
    length = (side * n).round().clamp_min(1)  # (B,)
    first = (start * (n - length + 1)).floor()  # (B,)
    pixels = torch.arange(n, device=side.device)  # (n,)
    return (pixels >= first[:, None]) & (pixels < (first + length)[:, None])
