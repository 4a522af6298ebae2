"""Weights to start from: those of a trained supernet, as far as they fit into another model.

A detector's feature maps are an ordinary timm model's layers: a supernet that answers questions about the same objects
knows much of what it needs. The paper cuts its modules from a pre-trained backbone.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..shipped import find_supernet
from ..supernet.weights import BACKBONE, read_weights

_PREFIXES = ("", "features.")


@torch.no_grad()
def start_from(model: nn.Module, named: str) -> int:
    """Copy every tensor of the supernet `named` (a shipped one's name, or a folder) that has the name and shape of one
    of the model's, or of its feature maps'; the number of them.

    A first convolution for another number of colours gets the mean over the old ones'. Raises `InputError` where
    there is no such supernet, and where nothing of it fits.
    """
    own = model.state_dict()
    found = read_weights(find_supernet(Path(named)) / BACKBONE)
    taken = {
        prefix + name: fitted
        for name, tensor in found.items()
        for prefix in _PREFIXES
        if prefix + name in own and (fitted := _fitted(tensor, own[prefix + name])) is not None
    }
    if not taken:
        raise InputError(f"nothing of supernet {named!r} fits into this backbone; start from another one, or from none")
    model.load_state_dict(own | taken)
    return len(taken)


def _fitted(tensor: Tensor, wanted: Tensor) -> Tensor | None:
    """The tensor in the wanted shape, or None; `(O, C, k, k)` may have another `C`."""
    if tensor.shape == wanted.shape:
        return tensor
    if tensor.ndim != 4 or tensor[:, 0].shape != wanted[:, 0].shape or tensor.shape[1] not in (1, 3):
        return None
    n_colours = wanted.shape[1]
    return tensor.sum(1, keepdim=True).expand(-1, n_colours, -1, -1) / n_colours  # (O, C, k, k)
