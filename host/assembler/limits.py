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
    if int(_allowed(limits, space).min()) < len(space.sites):
        raise InputError(
            f"an activation limit of {limits.min().item():.2%} leaves less than one module per site; the smallest for "
            f"this supernet of {len(space.sites)} sites and {space.total} modules is {smallest_limit(space):.2%}"
        )
    return open_within(weights, limits, space)


def open_within(weights: Tensor, limits: Tensor, space: GateSpace, sort_all: bool | None = None) -> Tensor:
    """`open_modules` for limits that are known to be high enough.

    By default all rows are sorted on a GPU, so that nothing waits for the result, and elsewhere those over their limit:
    in training most rows keep it.
    """
    best = torch.zeros_like(weights, dtype=torch.bool)  # the module with the highest weight stays open at every site
    for where in space.slices:
        best[:, where].scatter_(1, weights[:, where].argmax(1, keepdim=True), True)
    opened, n_allowed = (weights > 0) | best, _allowed(limits, space)
    if weights.is_cuda if sort_all is None else sort_all:
        return opened & _highest(weights.masked_fill(best, math.inf), n_allowed)
    over = (opened.sum(1) > n_allowed).nonzero()[:, 0]  # only these are sorted: in training most rows keep their limit
    opened[over] &= _highest(weights[over].masked_fill(best[over], math.inf), n_allowed[over])
    return opened


def _allowed(limits: Tensor, space: GateSpace) -> Tensor:
    """How many modules limits `(B,)` allow, `(B,)`."""
    return (limits.double() * space.total + 1e-6).floor().long()  # 1e-6: 0.07 * 100 is 7.0000000001


def _highest(scores: Tensor, n: Tensor) -> Tensor:
    """Where the `n` `(B,)` highest scores of rows `(B, N)` are, of equal ones the first."""
    order = scores.argsort(dim=1, descending=True, stable=True)  # (B, N)
    places = torch.arange(scores.shape[1], device=order.device)  # (N,)
    return torch.empty_like(order).scatter_(1, order, places.expand_as(order)) < n[:, None]
