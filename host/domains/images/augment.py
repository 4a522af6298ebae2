"""Random variations of training images, by torchvision's transforms; every image has draws of its own.

Shapes: `B` images of `(C, H, W)`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from .settings import ImageSettings

_ERASED = (0.02, 0.2)  # of an image's area
_RATIO = (3 / 4, 4 / 3)  # width by height of a cut


@dataclass(frozen=True)
class Variations:
    """Uniform draws in [0, 1) for images, `(9, B)`, and what they decide."""

    draws: Tensor

    @classmethod
    def draw(cls, n: int, generator: torch.Generator) -> Variations:
        return cls(torch.rand(9, n, generator=generator))

    def of(self, part: slice) -> Variations:
        return Variations(self.draws[:, part])

    def applied(self, images: Tensor, settings: ImageSettings) -> Tensor:
        """uint8 `(B, C, H, W)` -> the same shape."""
        if settings.least_area < 1:
            images = self._cut(images, settings.least_area)
        elif settings.shift:
            images = self._shifted(images, settings.shift)
        if settings.mirror:
            images = torch.where((self.draws[0] < 0.5)[:, None, None, None], F.horizontal_flip(images), images)
        return self._erased(images, settings.erase) if settings.erase else images

    def _shifted(self, images: Tensor, share: float) -> Tensor:
        height, width = images.shape[2:]
        margin = round(share * max(height, width))
        edges = ((0, 0), (0, 0), (margin, margin), (margin, margin))
        padded = torch.from_numpy(np.pad(images.numpy(), edges, "reflect"))  # (B, C, H + 2 margin, W + 2 margin)
        tops, lefts = ((2 * margin + 1) * self.draws[1:3]).long().tolist()
        return torch.stack(
            [F.crop(image, top, left, height, width) for image, top, left in zip(padded, tops, lefts, strict=True)]
        )

    def _cut(self, images: Tensor, least_area: float) -> Tensor:
        height, width = images.shape[2:]
        cuts = []
        for image, (area, ratio, down, right) in zip(images, self.draws[3:7].T.tolist(), strict=True):
            area = least_area + (1 - least_area) * area
            ratio = math.exp(math.log(_RATIO[0]) + math.log(_RATIO[1] / _RATIO[0]) * ratio)
            rows = min(height, max(1, round(height * math.sqrt(area / ratio))))
            columns = min(width, max(1, round(width * math.sqrt(area * ratio))))
            top, left = int(down * (height - rows + 1)), int(right * (width - columns + 1))
            cuts.append(F.resized_crop(image, top, left, rows, columns, [height, width], antialias=True))
        return torch.stack(cuts)

    def _erased(self, images: Tensor, share: float) -> Tensor:
        """A grey rectangle on a share of the images."""
        height, width = images.shape[2:]
        result = []
        for image, (chance, area, down, right) in zip(images, self.draws[5:9].T.tolist(), strict=True):
            if chance < share:
                side = math.sqrt(_ERASED[0] + (_ERASED[1] - _ERASED[0]) * area)
                rows, columns = max(1, round(side * height)), max(1, round(side * width))
                top, left = int(down * (height - rows + 1)), int(right * (width - columns + 1))
                image = F.erase(image, top, left, rows, columns, torch.tensor(128, dtype=image.dtype))
            result.append(image)
        return torch.stack(result)
