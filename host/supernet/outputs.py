"""A module of which only some outputs are kept: rows of its classifier.

Shapes: `R` outputs, `K` of them kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ..errors import InputError


def linear_classifier(module: nn.Module) -> nn.Linear:
    """The layer that makes a timm model's outputs. Raises `InputError` where it is not one linear layer."""
    get = getattr(module, "get_classifier", None)
    layer = get() if callable(get) else None
    if not isinstance(layer, nn.Linear):
        raise InputError(
            f"{type(module).__name__} does not end in one linear classifier, so models for single tasks cannot be cut "
            "out of it; choose another timm model as backbone, such as resnet18"
        )
    return layer


def keep_outputs(module: nn.Module, rows: Sequence[int]) -> nn.Module:
    """`module` (in place), its outputs `(B, R)` reduced to these rows `(B, K)`.

    Raises `InputError` where it does not end in one linear classifier.
    """
    layer = linear_classifier(module)
    index = torch.tensor(list(rows))
    layer.weight = nn.Parameter(layer.weight.detach()[index], layer.weight.requires_grad)  # (K, C)
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias.detach()[index], layer.bias.requires_grad)  # (K,)
    layer.out_features = len(index)
    return module
