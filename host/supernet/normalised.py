"""A timm model for images in [0, 1] that was pre-trained on normalised ones: it normalises them itself.

The normalisation is part of the model, so that whoever runs it on a device need not know of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError


class Normalised(nn.Module):
    """`model((x - mean) / std)` for images `(B, C, H, W)`."""

    scale: Tensor
    offset: Tensor

    def __init__(self, model: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        """`mean` and `std` are of each of the `C` colours."""
        super().__init__()
        self.model = model
        scale = 1 / torch.tensor(std, dtype=torch.float32)  # (C,)
        self.register_buffer("scale", scale.view(-1, 1, 1), persistent=False)  # (C, 1, 1)
        self.register_buffer("offset", (-torch.tensor(mean) * scale).view(-1, 1, 1), persistent=False)  # (C, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.model(x * self.scale + self.offset)
        return outputs

    def get_classifier(self) -> nn.Module:
        classifier: nn.Module = self.model.get_classifier()  # type: ignore[operator]
        return classifier


def build_normalised(model: str, mean: Sequence[float], std: Sequence[float], **arguments: Any) -> Normalised:
    """A timm model, by its name and `arguments`, for images in [0, 1]. Raises `InputError` for impossible numbers."""
    from .backbones import build_backbone

    n_colours = arguments.get("in_chans", 3)
    if len(mean) != n_colours or len(std) != n_colours or not all(each > 0 for each in std):
        raise InputError(
            f"backbone 'normalised' needs a mean and a standard deviation above 0 for each of {n_colours} colours, got "
            f"`mean` {list(mean)} and `std` {list(std)}"
        )
    return Normalised(build_backbone(model, arguments), mean, std)
