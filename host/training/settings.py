"""The settings of a training run that no method and no task domain owns: a recipe's `[training]` table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from ..errors import InputError
from .ahead import Ahead
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
        batch_workers: threads that draw batches ahead. "auto" is 2 on a GPU, which they keep busy, and 0 on the CPU,
            which has nothing to spare: augmentation runs where the model does, and a draw takes about a millisecond.
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
    batch_workers: int | Literal["auto"] = "auto"

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
        if self.batch_workers != "auto" and self.batch_workers < 0:
            raise InputError(f'`batch_workers` must be at least 0, or "auto", got {self.batch_workers}')
        if not self.max_gradient_norm > 0:
            raise InputError(f"`max_gradient_norm` must be above 0, got {self.max_gradient_norm}")

    def ahead(self, device: torch.device) -> Ahead:
        """What draws batches for a process on `device`."""
        on_gpu = device.type == "cuda"
        n_threads = (2 if on_gpu else 0) if self.batch_workers == "auto" else self.batch_workers
        return Ahead(n_threads, pin=on_gpu)

    def compute(self, device: torch.device) -> Compute:
        """How a process on `device` computes."""
        return Compute(device, self.precision, self.max_gradient_norm)
