"""A detector in the manner of EfficientDet: a timm backbone's feature maps, a light pyramid, one head for all levels.

Anchor-free: every anchor point of every level predicts one box (FCOS, Tian et al. 2019). The output is raw:
`boxes` decodes it, outside of any exported graph.

Shapes: `B` images, `C` features, `L` anchor points over all levels, `K` scores an anchor point.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import InputError

BOX_NUMBERS = 4
STRIDES = (8, 16, 32)  # of the levels
_RARE = 0.02  # how likely an anchor point is to hold an object before anything is learnt


class Detector(nn.Module):
    """`(B, 3, S, S)` in [0, 1] -> `(B, L, 4 + K)`: by level, row by row, four numbers of a box and `K` scores,
    as they are before decoding."""

    def __init__(self, features: nn.Module, channels: Sequence[int], n_scores: int, width: int, depth: int) -> None:
        super().__init__()
        self.features = features
        self.pyramid = Pyramid(channels, width)
        self.head = Head(len(channels), n_scores, width, depth)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.head(self.pyramid(self.features(x)))
        return output

    def output_layers(self) -> list[nn.Module]:
        """The layers whose width is the output's."""
        return [self.head.box, self.head.score]

    def renew_outputs(self, num_classes: int) -> None:
        """Score `num_classes` categories from now on; the new layer is untrained."""
        self.head.score = new_score(self.head.score.in_channels, num_classes)


class Pyramid(nn.Module):
    """Feature maps from fine to coarse -> as many of `width` channels, each with what the coarser ones know.

    A level is reduced before it is merged, by a convolution that no other level shares, so that its channels are a
    site; the sum of the levels, like any residual stream, is not.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(_Block(n, width, 1) for n in channels)
        self.lateral = nn.ModuleList(_Block(width, width, 3, activation=False) for _ in channels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        levels = zip(self.reduce, self.lateral, maps, strict=True)
        merged = [lateral(reduce(each)) for reduce, lateral, each in levels]  # (B, W, H, W) each
        for level in range(len(merged) - 2, -1, -1):
            merged[level] = merged[level] + F.interpolate(merged[level + 1], scale_factor=2.0, mode="nearest")
        return [F.relu(each) for each in merged]


class Head(nn.Module):
    """Convolutions that all levels share, each level with normalisations of its own (EfficientDet, section 4.2)."""

    def __init__(self, n_levels: int, n_scores: int, width: int, depth: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(depth))
        self.norms = nn.ModuleList(
            nn.ModuleList(nn.BatchNorm2d(width) for _ in range(depth)) for _ in range(n_levels)
        )
        self.box = nn.Conv2d(width, BOX_NUMBERS, 3, padding=1)
        self.score = new_score(width, n_scores)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return torch.cat([self._level(x, norms) for x, norms in zip(maps, self.norms, strict=True)], 1)  # (B, L, 4 + K)

    def _level(self, x: Tensor, norms: Any) -> Tensor:
        for conv, norm in zip(self.convs, norms, strict=True):
            x = F.relu(norm(conv(x)))
        raw = torch.cat([self.box(x), self.score(x)], 1)  # (B, 4 + K, H, W)
        return raw.flatten(2).transpose(1, 2)  # (B, H W, 4 + K)


def new_score(width: int, n_scores: int) -> nn.Conv2d:
    """The layer that scores; untrained it takes every anchor point to be empty."""
    layer = nn.Conv2d(width, n_scores, 3, padding=1)
    nn.init.constant_(layer.bias, -math.log(1 / _RARE - 1))  # type: ignore[arg-type]
    return layer


class _Block(nn.Module):
    def __init__(self, n_in: int, n_out: int, size: int, activation: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, size, padding=size // 2, bias=False)
        self.norm = nn.BatchNorm2d(n_out)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return F.relu(x) if self.activation else x


def build_detector(
    features: str,
    num_classes: int,
    strides: Sequence[int] = STRIDES,
    width: int = 64,
    depth: int = 2,
    arguments: Mapping[str, Any] | None = None,
) -> Detector:
    """A detector on the timm model `features`, made with `arguments`; `num_classes` scores an anchor point.

    Raises `InputError` for a model without feature maps of these strides, each twice the one before.
    """
    import timm

    if any(second != 2 * first for first, second in zip(strides, strides[1:], strict=False)) or not strides:
        raise InputError(f"a detector's strides must double from level to level, got {list(strides)}")
    try:
        every: Any = timm.create_model(features, pretrained=False, features_only=True, **(arguments or {}))
        reductions = every.feature_info.reduction()
        picked = tuple(reductions.index(stride) for stride in strides)
        maps: Any = timm.create_model(
            features, pretrained=False, features_only=True, out_indices=picked, **(arguments or {})
        )
    except (AssertionError, AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{features!r} has no feature maps of strides {list(strides)}: {error}") from error
    return Detector(maps, maps.feature_info.channels(), num_classes, width, depth)
