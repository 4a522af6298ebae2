"""Gradients through discrete gates: Improved SemHash (NN-Factory, section 2.3; Kaiser and Bengio, 2018).

Half of the samples see discrete gates, half soft ones; both learn through the soft gate's gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor


def soft_gates(weights: Tensor) -> Tensor:
    """`max(0, min(1, 1.2 sigmoid(w) - 0.1))`; one half exactly where the weight is zero."""
    return (1.2 * weights.sigmoid() - 0.1).clamp(0.0, 1.0)


def discrete_gates(weights: Tensor) -> Tensor:
    """`1(w > 0)` forward, the soft gate's gradient backward."""
    soft = soft_gates(weights)
    return soft + ((weights > 0).to(soft.dtype) - soft).detach()


def training_gates(weights: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Weights `(B, N)` -> the gates the supernet sees and the discrete gates held against the limit, `(B, N)` each."""
    discrete = discrete_gates(weights)
    use_discrete = torch.rand(len(weights), 1, generator=generator) < 0.5  # (B, 1): one choice per sample
    return torch.where(use_discrete, discrete, soft_gates(weights)), discrete


def gate_loss(discrete: Tensor, limits: Tensor) -> Tensor:
    """One-sided squared error of the open share `(B, N)` against the limits `(B,)` (Eq. 6), mean over the batch."""
    return (discrete.mean(1) - limits).clamp_min(0.0).square().mean()
