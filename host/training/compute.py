"""Where and how a run computes: device, precision, memory format and gradient clipping."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..errors import InputError

DeviceChoice = Literal["auto", "cpu", "cuda"]
Precision = Literal["bfloat16", "float32", "float64"]


def choose_device(choice: DeviceChoice) -> torch.device:
    """The device of this process; "auto" takes CUDA where torch finds it. Raises `InputError` for CUDA that is missing.

    Under torchrun each process of a machine has a GPU of its own.
    """
    if choice == "cuda" and not torch.cuda.is_available():
        raise InputError('the settings ask for device "cuda", but torch finds none here; set it to "auto" or "cpu"')
    if choice != "cpu" and torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("cpu")


@dataclass(frozen=True)
class Compute:
    """How one process computes.

    bfloat16 is mixed precision: the weights stay float32, and torch casts where it holds that to be safe. Images and
    weights of convolutions are laid out channels last.
    """

    device: torch.device = torch.device("cpu")
    precision: Precision = "float32"
    max_gradient_norm: float = 5.0

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return torch.float64 if self.precision == "float64" else torch.float32

    def to_device(self, module: nn.Module) -> nn.Module:
        """Move `module` (in place) to where it is trained, in the precision and memory format of training."""
        return module.to(self.device, self.dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def deliver(self, module: nn.Module) -> nn.Module:
        """Return `module` (in place) as it is saved and used: in float32 on the CPU, in evaluation mode."""
        module.to("cpu", torch.float32).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        return module.eval()

    def images(self, images: Tensor) -> Tensor:
        """`(B, C, H, W)` in the layout of the weights; of other ranks as they are."""
        return images.to(memory_format=torch.channels_last) if images.dim() == 4 else images

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """In here the forward pass runs in the chosen precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def forward(self, model: nn.Module, images: Tensor, *more: Any) -> Tensor:
        """What `model` gives for `images` `(B, C, H, W)` in training, in float32 for the loss."""
        with self.autocast():
            outputs: Tensor = model(self.images(images), *more)
        return outputs.float()

    def clip(self, parameters: Sequence[nn.Parameter]) -> None:
        """Shrink their gradients to `max_gradient_norm`, all together."""
        nn.utils.clip_grad_norm_(parameters, self.max_gradient_norm)
