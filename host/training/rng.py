"""Shared by the batches of every domain: generators that are a function of (seed, stage, step), tasks and limits.

Shapes: `B` samples.
"""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

B = TypeVar("B", bound=Any)

PRETRAIN, JOINT, CALIBRATE, TUNE = "pretrain", "joint", "calibrate", "tune"
"""The stages of joint training. A stage of another method takes any other name."""

_NUMBERS = {PRETRAIN: 0, JOINT: 1, CALIBRATE: 2, TUNE: 3}  # for good: batches depend on them


def stage_number(stage: str) -> int:
    """The number of a stage in a seed: a hash of its name, except for the four pinned ones."""
    if stage in _NUMBERS:
        return _NUMBERS[stage]
    return len(_NUMBERS) + int.from_bytes(hashlib.sha256(stage.encode()).digest()[:7], "big")


def step_rng(seed: int, stage: str, step: int) -> tuple[np.random.Generator, torch.Generator]:
    """The generators of one step."""
    rng = np.random.default_rng([seed, stage_number(stage), step])
    return rng, torch.Generator().manual_seed(int(rng.integers(2**62)))


def step_seed(seed: int, stage: str, step: int) -> int:
    """The seed of torch's global generator in a step; independent of the generators of `step_rng`."""
    return int(np.random.SeedSequence([seed, stage_number(stage), step]).generate_state(1, np.uint64)[0] >> 2)


def draw_limits(rng: np.random.Generator, n: int, least: float) -> NDArray[np.float32]:
    """Activation limits `(n,)` between `least` and one, log-uniform."""
    return np.exp(rng.uniform(np.log(least), 0.0, n)).astype(np.float32)


def draw_questions(rng: np.random.Generator, n: int, n_tasks: int, n_all: int, extra_share: float) -> NDArray[np.int64]:
    """Indices `(B,)` into a pool of `n_all` questions, the first `n_tasks` of which are tasks and the others
    augmentation; a share of the samples asks the latter."""
    question = rng.integers(n_tasks, size=n)  # (B,)
    if n_all > n_tasks:
        extra = rng.random(n) < extra_share
        question[extra] = rng.integers(n_tasks, n_all, int(extra.sum()))
    return question


def moved(batch: B, device: torch.device, dtype: torch.dtype) -> B:
    """A dataclass of tensors on `device`, its images and tasks in `dtype`. A GPU copies pinned tensors by and by."""
    there = {each.name: sent(getattr(batch, each.name), device) for each in fields(batch)}
    return replace(batch, **there | {name: there[name].to(dtype) for name in ("images", "tasks")})


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`. Nothing waits for a copy to a GPU: what is computed there next does."""
    return tensor.to(device, non_blocking=device.type == "cuda")
