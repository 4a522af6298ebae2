"""A limit always holds: if the assembler opens too many modules, those with the lowest weights are closed.

NN-Factory mentions this importance pruning with its Fig. 11; here it also keeps one module open at every site.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import InputError
from ..gates import GateSpace


def smallest_limit(space: GateSpace) -> float:
    """The lowest limit that leaves one open module at every site."""
    return len(space.sites) / space.total


def open_modules(weights: Tensor, limits: Tensor, space: GateSpace) -> Tensor:
    """Weights `(B, N)` and limits `(B,)` -> open modules `(B, N)`: at most `floor(limit * N)`, at least one per site.

    Raises `InputError` for a limit below `smallest_limit`.
    """
    allowed = [math.floor(limit * space.total + 1e-6) for limit in limits.tolist()]  # 1e-6: 0.07 * 100 is 7.0000000001
    if min(allowed) < len(space.sites):
        raise InputError(
            f"an activation limit of {limits.min().item():.2%} leaves less than one module per site; the smallest for "
            f"this supernet of {len(space.sites)} sites and {space.total} modules is {smallest_limit(space):.2%}"
        )
    best = torch.zeros_like(weights, dtype=torch.bool)  # the module with the highest weight stays open at every site
    for where in space.slices:
        best[:, where].scatter_(1, weights[:, where].argmax(1, keepdim=True), True)
    opened, n_allowed = (weights > 0) | best, torch.tensor(allowed, device=weights.device)
    over = (opened.sum(1) > n_allowed).nonzero()[:, 0]  # only these are sorted: in training most rows keep their limit
    score = weights[over].masked_fill(best[over], math.inf)  # (K, N), K rows over their limit
    order = score.argsort(dim=1, descending=True, stable=True)  # (K, N)
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(space.total, device=order.device).expand_as(order))
    opened[over] &= rank < n_allowed[over, None]
    return opened
