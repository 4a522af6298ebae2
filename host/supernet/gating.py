"""Gates on an ordinary module: forward pre-hooks on the layers that sum over a site's channels.

Multiplying a consumer's input, not the producer's output, makes gating equal to slicing, whatever batch norm,
bias or non-linearity is between them. Hooks are objects, not closures: a closure survives neither deepcopy nor saving.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .plan import SupernetPlan

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
"""Layers whose weight has its input channels first."""


class GateState:
    """The gates of the current pass, shared by all hooks of one supernet.

    They stay after the forward pass, because activation checkpointing runs the hooks again in backward. A copy starts
    without gates: they may belong to an autograd graph, which cannot be copied.
    """

    def __init__(self) -> None:
        self.gates: Tensor | None = None  # (N,) or (B, N)
        self.attached = True

    def __deepcopy__(self, memo: dict[int, Any]) -> GateState:
        copy = GateState()
        copy.attached = self.attached
        return copy

    def __getstate__(self) -> dict[str, Any]:
        return {"gates": None, "attached": self.attached}


class GateHook:
    """Multiplies the input of one consumer by the gates of the sites it sums over.

    `sources` has an entry per input channel: which of the supernet's `N` modules it follows, or -1 for none.
    """

    def __init__(self, state: GateState, sources: Tensor, batch_axis: int, channel_axis: int) -> None:
        self.state = state
        self.sources = sources  # (C,)
        self.batch_axis, self.channel_axis = batch_axis, channel_axis
        first = int(sources[0])
        run = first >= 0 and torch.equal(sources, torch.arange(first, first + len(sources)))
        self.run = slice(first, first + len(sources)) if run else None  # one whole site: no copy of all gates

    def __call__(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        if self.state.gates is None:
            return None
        if args:
            return (self._gated(args[0], self.state.gates), *args[1:]), kwargs
        name = next(iter(kwargs))  # a layer has one input, whatever it is called
        return args, {**kwargs, name: self._gated(kwargs[name], self.state.gates)}

    def _gated(self, x: Tensor, all_gates: Tensor) -> Tensor:
        gates = self._of_channels(all_gates).to(x.dtype)  # (C,) or (B, C)
        shape = [1] * x.dim()
        shape[self.channel_axis] = gates.shape[-1]
        if gates.dim() == 2:
            folded = x.shape[self.batch_axis] // gates.shape[0]  # windows folded into the batch, sample outermost
            if folded > 1:
                gates = gates.repeat_interleave(folded, 0)
            shape[self.batch_axis] = gates.shape[0]
        return x * gates.reshape(shape)

    def _of_channels(self, all_gates: Tensor) -> Tensor:
        if self.run is not None:
            return all_gates[..., self.run]
        if self.sources.device != all_gates.device:
            self.sources = self.sources.to(all_gates.device)
        always = all_gates.new_ones(*all_gates.shape[:-1], 1)
        return torch.cat([all_gates, always], -1)[..., self.sources]  # -1 is the last


def attach(backbone: nn.Module, plan: SupernetPlan, state: GateState) -> None:
    """Put the plan's hooks on the backbone, one per consumer."""
    if not plan.sites:
        return
    modules = dict(backbone.named_modules())
    sources: dict[str, Tensor] = {}
    layouts: dict[str, tuple[int, int]] = {}
    for site, where in zip(plan.sites, plan.space.slices, strict=True):
        for consumer in site.consumers:
            width = _input_channels(modules[consumer.module])
            channels = sources.setdefault(consumer.module, torch.full((width,), -1))
            followed = torch.arange(where.start, where.stop).repeat_interleave(consumer.block)
            channels[consumer.offset : consumer.offset + len(followed)] = followed
            layouts[consumer.module] = consumer.batch_axis, consumer.channel_axis
    for name, channels in sources.items():
        hook = GateHook(state, channels, *layouts[name])
        modules[name].register_forward_pre_hook(hook, with_kwargs=True)


def _input_channels(layer: nn.Module) -> int:
    weight = layer.weight
    assert isinstance(weight, Tensor)  # consumers are convolutions of one group and linear layers
    return weight.shape[0 if isinstance(layer, TRANSPOSED) else 1]


def detach(backbone: nn.Module) -> None:
    """Take all gate hooks off the backbone; the supernet they belonged to knows it and refuses to run."""
    for module in backbone.modules():
        for key, hook in list(module._forward_pre_hooks.items()):
            if isinstance(hook, GateHook):
                hook.state.attached = False
                del module._forward_pre_hooks[key]
                module._forward_pre_hooks_with_kwargs.pop(key, None)


def check_gates(gates: Tensor, x: Tensor, total: int) -> str | None:
    """What is wrong with these gates for this input, or None."""
    if gates.dim() not in (1, 2) or gates.shape[-1] != total:
        return f"gates must have shape ({total},) or (B, {total}), got {tuple(gates.shape)}"
    if gates.dim() == 2 and gates.shape[0] != x.shape[0]:
        return f"{gates.shape[0]} rows of gates for a batch of {x.shape[0]}; give one row per sample, or one vector"
    if gates.device != x.device:
        return f"gates are on {gates.device}, the input on {x.device}"
    return None


def ones(total: int, like: Tensor) -> Tensor:
    """All gates open, `(N,)`, on the device and in the dtype of `like`."""
    return torch.ones(total, dtype=like.dtype, device=like.device)
