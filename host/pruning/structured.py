"""Prune&Tune: one model that knows all tasks, pruned to a budget by DepGraph, then tuned to one task.

The baseline that NN-Factory compares with (section 5.1). The pruning is torch-pruning's (Fang et al., CVPR 2023): whole
groups of dependent channels, the least important by their L2 norm first, the same share of every group.

Output layers keep their width. A timm model names its one by `get_classifier`; a model with heads of its own
implements `OwnOutputs`.
"""

from __future__ import annotations

import copy
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ..errors import InputError


@runtime_checkable
class OwnOutputs(Protocol):
    """A model that knows which of its layers are outputs."""

    def output_layers(self) -> list[nn.Module]:
        """The layers whose width is the output's."""
        ...

    def renew_outputs(self, num_classes: int) -> None:
        """Put out `num_classes` answers from now on (in place); the new layer is untrained."""
        ...


def pruned(model: nn.Module, example: Tensor, share: float) -> nn.Module:
    """A copy of `model` with `share` of its channels removed, in [0, 1); its outputs keep their width.

    Raises `InputError` for a share outside, and where torch-pruning is not installed.
    """
    if not 0 <= share < 1:
        raise InputError(f"the share of channels to prune must lie in [0, 1), got {share}")
    try:
        import torch_pruning
    except ImportError as error:
        raise InputError("Prune&Tune needs torch-pruning; install edgewright[evaluation]") from error
    smaller = copy.deepcopy(model).eval()
    if share == 0:
        return smaller
    pruner = torch_pruning.pruner.BasePruner(
        smaller,
        example,
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=share,
        ignored_layers=_outputs(smaller),
        num_heads=_heads(smaller),
        round_to=1,
    )
    pruner.step()
    _tell_attention(smaller, pruner)
    return smaller


def with_new_head(model: nn.Module, num_classes: int) -> nn.Module:
    """The model with another number of answers (in place); its head starts at random, from torch's generator."""
    if isinstance(model, OwnOutputs):
        model.renew_outputs(num_classes)
        return model
    head = model.get_classifier()  # type: ignore[operator]
    # Not timm's own reset: that one makes a head for the width there was before pruning.
    (name,) = [name for name, part in model.named_modules() if part is head]
    model.set_submodule(name, nn.Linear(head.in_features, num_classes))
    return model


def macs_of(model: nn.Module, example: Tensor) -> float:
    """Multiply-accumulates of one pass over `example`, all its samples."""
    import torch_pruning

    macs: float = torch_pruning.utils.count_ops_and_params(model, example)[0]
    return macs


def _outputs(model: nn.Module) -> list[nn.Module]:
    if isinstance(model, OwnOutputs):
        return model.output_layers()
    head = model.get_classifier()  # type: ignore[operator]
    return [head]


def _heads(model: nn.Module) -> dict[nn.Module, int]:
    """Attention's fused projections, whose channels belong to heads."""
    return {
        part.qkv: part.num_heads  # type: ignore[misc]
        for part in model.modules()
        if hasattr(part, "qkv") and hasattr(part, "num_heads")
    }


@torch.no_grad()
def _tell_attention(model: nn.Module, pruner: Any) -> None:
    """Attention splits its projection by numbers of its own, which no pruner can see."""
    part: Any
    for part in model.modules():
        if hasattr(part, "qkv") and hasattr(part, "num_heads"):
            width = part.qkv.out_features // 3
            part.num_heads = pruner.num_heads[part.qkv]
            part.head_dim = width // part.num_heads
            if hasattr(part, "attn_dim"):
                part.attn_dim = width
