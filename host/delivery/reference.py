"""What a model is judged against: sets of inputs, and what torch computes for them in float32.

Shapes: `n` sets of inputs. A set is what the model takes at once: one tensor for each of its inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import InputError

Inputs = tuple[Tensor, ...]

N_DRAWN = 16
_TYPES = (torch.float32, torch.float16, torch.float64, torch.int64, torch.int32, torch.uint8, torch.int8, torch.bool)


@dataclass(frozen=True)
class Reference:
    """`inputs` and torch's `outputs`, each one array `(n, *shape)` for every input or output of the model."""

    inputs: tuple[NDArray[Any], ...]
    outputs: tuple[NDArray[Any], ...]

    def __post_init__(self) -> None:
        lengths = {len(values) for values in (*self.inputs, *self.outputs)}
        if not self.inputs or not self.outputs or len(lengths) != 1 or 0 in lengths:
            raise InputError(f"a reference holds as many sets of inputs as of outputs, got lengths {sorted(lengths)}")

    @classmethod
    def of_images(cls, module: nn.Module, images: NDArray[np.float32]) -> Reference:
        """Of a model that takes one image at a time, computed for all `(B, C, H, W)` at once."""
        with torch.inference_mode():
            outputs = module(torch.from_numpy(images)).numpy()  # (B, ...)
        return cls((images[:, None],), (outputs[:, None],))

    @property
    def n(self) -> int:
        return len(self.inputs[0])


def checked_inputs(inputs: object, name: str = "the example inputs") -> Inputs:
    """A copy of a set of inputs. Raises `InputError` if it is not one."""
    if isinstance(inputs, Tensor):
        inputs = (inputs,)
    if not isinstance(inputs, (tuple, list)) or not inputs:
        raise InputError(f"{name} must be a tuple of tensors, one for each input; got {_told(inputs)}")
    for index, value in enumerate(inputs):
        if not isinstance(value, Tensor):
            raise InputError(f"{name} must be a tuple of tensors, but number {index} is {_told(value)}")
        if value.dtype not in _TYPES:
            allowed = ", ".join(str(each).removeprefix("torch.") for each in _TYPES)
            raise InputError(f"input {index} is {value.dtype}, which no model on a device takes; they take {allowed}")
        if value.numel() == 0:
            raise InputError(f"input {index} of shape {tuple(value.shape)} holds no number")
    return tuple(value.detach().cpu().clone() for value in inputs)


def _told(value: object) -> str:
    return "an empty one" if isinstance(value, (tuple, list)) else f"a {type(value).__name__}"


def drawn_like(example: Inputs, n: int, rng: np.random.Generator) -> list[Inputs]:
    """`n` sets of random inputs of the example's shapes and types, within its least and its largest element.

    Ids stay ids that the model knows. Where all elements of floats are the same, noise of variance 1 is added to them.
    """
    return [tuple(_drawn(value, rng) for value in example) for _ in range(n)]


def _drawn(value: Tensor, rng: np.random.Generator) -> Tensor:
    shape, low, high = tuple(value.shape), value.min().item(), value.max().item()
    drawn: NDArray[Any]
    if value.dtype == torch.bool:
        drawn = np.asarray(rng.random(shape) < 0.5)
    elif not value.dtype.is_floating_point:
        drawn = np.asarray(rng.integers(int(low), int(high), shape, endpoint=True))
    elif low == high:
        drawn = low + np.asarray(rng.standard_normal(shape))
    else:
        drawn = np.asarray(rng.uniform(low, high, shape))
    return torch.as_tensor(drawn).to(value.dtype)


def stacked(sets: Sequence[Inputs]) -> tuple[NDArray[Any], ...]:
    """Sets of inputs as one array `(n, *shape)` for each input."""
    return tuple(np.stack([value.numpy() for value in values]) for values in zip(*sets, strict=True))
