"""Learning rates and loss weights as functions of the step, so that resuming needs no scheduler state."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

Schedule = Callable[[int, int], float]
"""The share of the peak learning rate at a step, of a stage's number of steps."""


def one_cycle(step: int, total: int, warmup_share: float) -> float:
    """Linear rise over the first `warmup_share` of the steps, then a cosine down to zero; a factor in (0, 1]."""
    warmup = max(1, round(total * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def cycle(warmup_share: float) -> Schedule:
    """`one_cycle` with that warm-up."""
    return partial(one_cycle, warmup_share=warmup_share)


def constant(step: int, total: int) -> float:
    """The peak learning rate at every step."""
    return 1.0


def ramp(step: int, total: int, share: float) -> float:
    """Zero to one over the first `share` of the steps, then one."""
    return min(1.0, step / max(1.0, total * share))
