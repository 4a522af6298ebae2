"""A warm start: the weights of a trained supernet, or of a file, as far as they fit into another model.

A detector's feature maps are the layers of an ordinary timm model, so a supernet that answers questions about the same
objects already knows much of what the detector needs. The paper cuts its modules from a pre-trained backbone.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..shipped import find_supernet
from ..supernet.weights import BACKBONE, read_pretrained, read_weights

_PREFIXES = ("", "features.", "model.")
_FILES = (".safetensors", ".pth", ".pt", ".bin")


@torch.no_grad()
def start_from(model: nn.Module, named: str) -> int:
    """Copy tensors into `model` where name and shape agree, and return how many were copied.

    A first convolution for another number of colours gets the mean over the old colours.

    Args:
        model: may have the layers below the prefix "features." or "model.", as a detector or a normalised model does.
        named: a shipped supernet's name, its folder, or a file of pre-trained weights: `.safetensors`, or a state
            dictionary that torch saved (read without running any code in it).

    Raises:
        InputError: there is no such supernet or file, or none of it fits; of a file, also where less than half of the
            model's tensors are in it, since it is then of another model.
    """
    own, is_file = model.state_dict(), Path(named).suffix in _FILES
    found = read_pretrained(Path(named)) if is_file else read_weights(find_supernet(Path(named)) / BACKBONE)
    taken = {
        prefix + name: fitted
        for name, tensor in found.items()
        for prefix in _PREFIXES
        if prefix + name in own and (fitted := _fitted(tensor, own[prefix + name])) is not None
    }
    if is_file and 2 * len(taken) < len(own):
        raise InputError(
            f"{named} has only {len(taken)} of this backbone's {len(own)} tensors, by name and shape: it is of another "
            "model, or of another width; name the one that fits as `start`, or none"
        )
    if not taken:
        raise InputError(f"nothing of supernet {named!r} fits this backbone; name another one as `start`, or none")
    model.load_state_dict(own | taken)
    return len(taken)


def _fitted(tensor: Tensor, wanted: Tensor) -> Tensor | None:
    """The tensor in the wanted shape, or None; the `C` of a `(O, C, k, k)` tensor may differ."""
    if tensor.shape == wanted.shape:
        return tensor
    if tensor.ndim != 4 or tensor[:, 0].shape != wanted[:, 0].shape or tensor.shape[1] not in (1, 3):
        return None
    n_colours = wanted.shape[1]
    return tensor.sum(1, keepdim=True).expand(-1, n_colours, -1, -1) / n_colours  # (O, C, k, k)
