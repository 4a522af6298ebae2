"""Varied handwriting: each digit of an image is rotated, scaled, sheared, shifted and gently warped on its own.

Shapes: `B` images of `(1, 56, 56)`, `4B` digits of `(1, 28, 28)`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...training.rng import sent

ROTATION_DEG = 14.0
SHEAR = 0.2
SCALE = 0.14
SHIFT = 0.1
WARP = 0.07


@dataclass(frozen=True)
class Variation:
    """The variation of `4B` digits: affine maps `(4B, 2, 3)` and control points of a warp `(4B, 2, 5, 5)`."""

    transforms: Tensor
    bumps: Tensor

    @classmethod
    def draw(cls, n_images: int, generator: torch.Generator) -> Variation:
        n = 4 * n_images
        transforms = _transforms(n, generator)  # (4B, 2, 3)
        return cls(transforms, WARP * torch.randn(n, 2, 5, 5, generator=generator))

    def to(self, device: torch.device) -> Variation:
        return Variation(sent(self.transforms, device), sent(self.bumps, device))

    def of(self, part: slice) -> Variation:
        """The variation of some images only."""
        rows = slice(4 * (part.start or 0), None if part.stop is None else 4 * part.stop)
        return Variation(self.transforms[rows], self.bumps[rows])


def vary_digits(images: Tensor, variation: Variation) -> Tensor:
    """A varied copy of `(B, 1, 56, 56)` images in [0, 1]."""
    n = len(images)
    digits = images.reshape(n, 2, 28, 2, 28).transpose(2, 3).reshape(4 * n, 1, 28, 28)  # (4B, 1, 28, 28)
    grid = F.affine_grid(variation.transforms, list(digits.shape), align_corners=False)  # (4B, 28, 28, 2)
    warp = F.interpolate(variation.bumps, (28, 28), mode="bilinear", align_corners=True)  # (4B, 2, 28, 28)
    varied = F.grid_sample(digits, grid + warp.permute(0, 2, 3, 1), align_corners=False)  # (4B, 1, 28, 28)
    return varied.reshape(n, 2, 2, 28, 28).transpose(2, 3).reshape(n, 1, 56, 56)  # (B, 1, 56, 56)


def _transforms(n: int, generator: torch.Generator) -> Tensor:
    """Random affine maps `(n, 2, 3)`."""
    draw = 2.0 * torch.rand(6, n, generator=generator) - 1.0  # (6, n) in [-1, 1)
    angle = draw[0] * math.radians(ROTATION_DEG)
    wide, high = 1.0 + SCALE * draw[1], 1.0 + SCALE * draw[2]
    shear = SHEAR * draw[3]
    cos, sin = angle.cos(), angle.sin()
    rows = [wide * cos, shear * cos - sin, SHIFT * draw[4], high * sin, high * (shear * sin + cos), SHIFT * draw[5]]
    return torch.stack(rows, 1).reshape(n, 2, 3)
