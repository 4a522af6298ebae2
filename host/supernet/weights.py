"""Weights as files: safetensors, which cannot run code when they are loaded."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch

from ..errors import InputError

BACKBONE = "backbone.safetensors"
"""The file of a supernet's folder that holds its backbone."""

_WITHIN = ("state_dict", "model")  # where training programs put them


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file. Raises `InputError` when it is not there or damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise damaged(path, error) from error


def read_pretrained(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file from outside: safetensors, or a state dictionary that `torch.save` wrote.

    Raises `InputError` when it is not there, damaged, or holds anything else; nothing in it is executed.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}; `start` names a trained supernet or a file of weights")
    if path.suffix == ".safetensors":
        return read_weights(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise damaged(path, error) from error
    tensors = next((content[key] for key in _WITHIN if isinstance(content, dict) and key in content), content)
    if not isinstance(tensors, dict) or not all(isinstance(each, torch.Tensor) for each in tensors.values()):
        raise InputError(f"{path} holds no state dictionary; save `model.state_dict()` as .safetensors")
    return tensors


def damaged(path: Path, error: Exception) -> InputError:
    """The sentence for a file that is not what it should be."""
    reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
    return InputError(f"{path} is damaged or foreign ({reason}); copy it again, or train anew")
