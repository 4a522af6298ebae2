"""The settings of a training run that no method and no task domain owns: a recipe's `[training]` table."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..errors import InputError
from .compute import Compute, DeviceChoice, Precision


@dataclass(frozen=True)
class TrainingSettings:
    """How a run trains, whatever it trains.

    Attributes:
        seed: of the first weights and of every draw.
        batch_size: samples in a step, shared by all processes of a run.
        weight_decay: of AdamW.
        warmup_share: of a stage's steps, over which the learning rate rises to its peak.
        device: "auto" takes CUDA where torch finds it.
        precision: bfloat16 is mixed precision, the weights stay float32. In float64 one process and several give the
            same to the last digits, which no other precision does.
        max_gradient_norm: larger gradients are shrunk to it.
        checkpoint_every_s: seconds between two checkpoints; each stage ends with one.
        evaluate_every: steps between two evaluations on validation images.
        patience: evaluations without a better one after which the run stops learning; 0 is never.
        averaging: decay of an exponential moving average of the weights, which is then what is evaluated and
            delivered; 0 keeps the weights themselves.
    """

    seed: int = 0
    batch_size: int = 128
    weight_decay: float = 0.02
    warmup_share: float = 0.05
    device: DeviceChoice = "auto"
    precision: Precision = "bfloat16"
    max_gradient_norm: float = 5.0
    checkpoint_every_s: float = 120.0
    evaluate_every: int = 1000
    patience: int = 0
    averaging: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), ("evaluate_every", 1), ("patience", 0)):
            if getattr(self, name) < least:
                raise InputError(f"`{name}` must be at least {least}, got {getattr(self, name)}")
        if self.batch_size < 2:
            raise InputError(f"batch norm needs a `batch_size` of 2 or more, got {self.batch_size}")
        if not 0 <= self.warmup_share <= 1:
            raise InputError(f"`warmup_share` must lie in [0, 1], got {self.warmup_share}")
        if not 0 <= self.averaging < 1:
            raise InputError(f"`averaging` must lie in [0, 1), got {self.averaging}")
        if not self.max_gradient_norm > 0:
            raise InputError(f"`max_gradient_norm` must be above 0, got {self.max_gradient_norm}")

    def compute(self, device: torch.device) -> Compute:
        """How a process on `device` computes."""
        return Compute(device, self.precision, self.max_gradient_norm)
