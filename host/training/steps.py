"""What every domain's batches share: generators that are a function of (seed, stage, step), and activation limits."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

_STAGES = {"pretrain": 0, "joint": 1, "calibrate": 2, "tune": 3}


def step_rng(seed: int, stage: str, step: int) -> tuple[np.random.Generator, torch.Generator]:
    """The generators of one step."""
    rng = np.random.default_rng([seed, _STAGES[stage], step])
    return rng, torch.Generator().manual_seed(int(rng.integers(2**62)))


def draw_limits(rng: np.random.Generator, n: int, least: float) -> NDArray[np.float32]:
    """Activation limits `(n,)` between `least` and one, as many of each magnitude."""
    return np.exp(rng.uniform(np.log(least), 0.0, n)).astype(np.float32)
