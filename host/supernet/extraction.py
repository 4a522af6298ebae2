"""Cutting one subnet out of a supernet's backbone: an ordinary module, its tensors sliced by index."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError
from .gating import TRANSPOSED, detach
from .parametrized import make_ordinary
from .plan import SupernetPlan

Part = tuple[int, int, int]  # index of the site, offset, elements per unit


def tensors_of(backbone: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, as they are stored; a shared one appears under each of its names."""
    named: dict[str, Tensor] = dict(backbone.named_parameters(remove_duplicate=False))
    named.update(backbone.named_buffers(remove_duplicate=False))
    return named


class Extractor:
    """The precomputed list "tensor, axis -> sites" of one plan. It knows names only, so weights may change freely."""

    def __init__(self, plan: SupernetPlan) -> None:
        self._plan = plan
        self._cuts: dict[str, dict[int, list[Part]]] = {}  # tensor -> axis -> parts
        for index, site in enumerate(plan.sites):
            for part in site.slices:
                axes = self._cuts.setdefault(part.tensor, {})
                axes.setdefault(part.axis, []).append((index, part.offset, part.block))
        self._owners = sorted({name.rpartition(".")[0] for name in self._cuts})
        self._group_width = {layer.module: layer.channels_per_group for site in plan.sites for layer in site.grouped}

    def __call__(self, backbone: nn.Module, open_units: Sequence[Tensor]) -> nn.Module:
        """`open_units[l]` holds the indices of the units of site `l` that stay. The result is in eval mode."""
        masks = [_mask(site.width, units) for site, units in zip(self._plan.sites, open_units, strict=True)]
        tensors = tensors_of(backbone)
        # With the slice already in the memo, deepcopy takes it and never copies the full tensor.
        memo: dict[int, Any] = {}
        stored = [name for name in self._cuts if name in tensors]
        for name in stored:
            memo[id(tensors[name])] = _cut(tensors[name], self._cuts[name], masks)
        subnet = copy.deepcopy(backbone, memo).eval()
        detach(subnet)
        make_ordinary(subnet)
        modules = dict(subnet.named_modules(remove_duplicate=False))
        for name in self._cuts.keys() - stored:
            owner, _, attribute = name.rpartition(".")
            setattr(modules[owner], attribute, _cut(getattr(modules[owner], attribute), self._cuts[name], masks))
        for name in self._owners:
            _correct_attributes(modules[name], self._group_width.get(name))
        self._correct_sizes(modules, masks)
        return subnet

    def _correct_sizes(self, modules: Mapping[str, nn.Module], masks: Sequence[Tensor]) -> None:
        for site, mask in zip(self._plan.sites, masks, strict=True):
            n_closed = int((~mask).sum())
            for size in site.sizes:
                module = modules[size.module]
                value = getattr(module, size.attribute)
                if size.position is None:
                    value -= n_closed * size.block
                else:
                    changed = list(value)
                    changed[size.position] -= n_closed * size.block
                    value = type(value)(changed)
                setattr(module, size.attribute, value)


def _mask(width: int, units: Tensor) -> Tensor:
    if not len(units):
        raise InputError("a site without an open unit cannot be cut out; at least one must stay")
    mask = torch.zeros(width, dtype=torch.bool)
    mask[units.cpu()] = True
    return mask


def _cut(tensor: Tensor, axes: Mapping[int, Sequence[Part]], masks: Sequence[Tensor]) -> Tensor:
    result = tensor.detach()
    for axis, parts in axes.items():
        kept = torch.ones(result.shape[axis], dtype=torch.bool)
        for site, offset, block in parts:
            mask = masks[site].repeat_interleave(block)
            kept[offset : offset + len(mask)] = mask
        result = result.index_select(axis, kept.nonzero()[:, 0].to(result.device))
    return nn.Parameter(result, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else result


def _correct_attributes(module: nn.Module, channels_per_group: int | None) -> None:
    """Make the sizes a module states agree with its sliced tensors."""
    if isinstance(module, TRANSPOSED):
        if channels_per_group:
            module.groups = module.weight.shape[0] // (module.in_channels // module.groups)
        module.in_channels = module.weight.shape[0]
        module.out_channels = module.weight.shape[1] * module.groups
    elif isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
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
