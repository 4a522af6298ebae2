"""Weights as files: safetensors, which cannot run code when they are loaded."""

from __future__ import annotations

from pathlib import Path

import torch

from ..errors import InputError

BACKBONE = "backbone.safetensors"
"""The file of a supernet's folder that holds its backbone."""


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file. Raises `InputError` when it is not there or damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> InputError:
    """The sentence for a file that is not what it should be."""
    reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
    return InputError(f"{path} is damaged or foreign ({reason}); copy the folder again, or train anew")
