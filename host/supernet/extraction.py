"""Cutting one subnet out of a supernet's backbone: an ordinary module, its tensors sliced by index."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError
from .gating import detach
from .plan import SupernetPlan

Cut = tuple[int, int]  # axis, index of the site


def tensors_of(backbone: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name; a shared one appears under each of its names."""
    named: dict[str, Tensor] = dict(backbone.named_parameters(remove_duplicate=False))
    named.update(backbone.named_buffers(remove_duplicate=False))
    return named


class Extractor:
    """The precomputed list "tensor, axis -> site" of one plan. It knows names only, so weights may change freely."""

    def __init__(self, plan: SupernetPlan) -> None:
        self._blocks = [site.block for site in plan.sites]
        self._cuts: dict[str, list[Cut]] = {}
        for index, site in enumerate(plan.sites):
            for part in site.slices:
                self._cuts.setdefault(part.tensor, []).append((part.axis, index))
        self._owners = sorted({name.rpartition(".")[0] for name in self._cuts})
        self._group_width = {layer.module: layer.channels_per_group for site in plan.sites for layer in site.grouped}

    def __call__(self, backbone: nn.Module, open_units: Sequence[Tensor]) -> nn.Module:
        """`open_units[l]` holds the indices of the units of site `l` that stay. The result is in eval mode."""
        channels = [_channels(units, block) for units, block in zip(open_units, self._blocks, strict=True)]
        tensors = tensors_of(backbone)
        # With the slice already in the memo, deepcopy takes it and never copies the full tensor.
        memo: dict[int, Any] = {}
        for name, cuts in self._cuts.items():
            memo[id(tensors[name])] = _cut(tensors[name], cuts, channels)
        subnet = copy.deepcopy(backbone, memo)
        detach(subnet)
        modules = dict(subnet.named_modules(remove_duplicate=False))
        for name in self._owners:
            _correct_attributes(modules[name], self._group_width.get(name))
        return subnet.eval()


def _channels(units: Tensor, block: int) -> Tensor:
    if not len(units):
        raise InputError("a site without an open unit cannot be cut out; at least one must stay")
    if block == 1:
        return units
    return (units[:, None] * block + torch.arange(block, device=units.device)).flatten()


def _cut(tensor: Tensor, cuts: Sequence[Cut], channels: Sequence[Tensor]) -> Tensor:
    part = tensor.detach()
    for axis, site in cuts:
        part = part.index_select(axis, channels[site].to(part.device))
    return nn.Parameter(part, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else part


def _correct_attributes(module: nn.Module, channels_per_group: int | None) -> None:
    """Make the sizes a module states agree with its sliced tensors."""
    if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        module.out_channels = module.weight.shape[0]
        if channels_per_group:
            module.groups = module.out_channels // channels_per_group
        module.in_channels = module.weight.shape[1] * module.groups
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.modules.batchnorm._NormBase):
        sized = module.weight if module.affine else module.running_mean
        if sized is not None:
            module.num_features = sized.shape[0]
    elif isinstance(module, nn.PReLU):
        module.num_parameters = module.weight.numel()
