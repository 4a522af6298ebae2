"""Gradients through discrete gates: Improved SemHash (NN-Factory, section 2.3; Kaiser and Bengio, 2018).

Half of the samples see discrete gates, half soft gates; both learn through the gradient of the soft gate.
"""

from __future__ import annotations

import torch
from torch import Tensor


def soft_gates(weights: Tensor) -> Tensor:
    """`max(0, min(1, 1.2 sigmoid(w) - 0.1))`; one half exactly where the weight is zero."""
    return (1.2 * weights.sigmoid() - 0.1).clamp(0.0, 1.0)


def straight_through(bits: Tensor, weights: Tensor) -> Tensor:
    """`bits` `(B, N)` forward, the soft gate's gradient backward."""
    soft = soft_gates(weights)
    return soft + (bits.to(soft.dtype) - soft).detach()


def discrete_gates(weights: Tensor) -> Tensor:
    """`1(w > 0)` forward, the soft gate's gradient backward."""
    return straight_through(weights > 0, weights)


def training_gates(weights: Tensor, bits: Tensor, coin: Tensor) -> Tensor:
    """Weights `(B, N)` -> what the supernet sees `(B, N)`: `bits` `(B, N)` where `coin` `(B, 1)`, else soft gates."""
    return torch.where(coin, straight_through(bits, weights), soft_gates(weights))


def gate_loss(discrete: Tensor, limits: Tensor) -> Tensor:
    """One-sided squared error of the open share `(B, N)` against the limits `(B,)` (Eq. 6), mean over the batch."""
    return (discrete.mean(1) - limits).clamp_min(0.0).square().mean()
