"""One training step of each stage.

Shapes: `B` samples, `N` modules, 10 digits with `K` = 5 possible counts each.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..assembler.assembler import Assembler
from ..assembler.limits import open_modules
from ..assembler.semhash import gate_loss, training_gates
from ..gates import GateSpace
from ..supernet.supernet import Supernet
from .batches import Batch
from .recipe import Recipe

N_COUNT_LOGITS = 10 * 5


@dataclass(frozen=True)
class StepResult:
    """What one step gave; `ratio` is the mean share of open modules."""

    loss: Tensor
    task_loss: float
    gate_loss: float
    ratio: float
    accuracy: float


def random_gates(n: int, space: GateSpace, min_ratio: float, generator: torch.Generator) -> Tensor:
    """Gates `(B, N)`, every sample at its own share between `min_ratio` and one."""
    ratio = min_ratio + (1.0 - min_ratio) * torch.rand(n, 1, generator=generator)  # (B, 1)
    return (torch.rand(n, space.total, generator=generator) < ratio).float()  # (B, N)


def pretrain_step(
    supernet: Supernet, batch: Batch, recipe: Recipe, generator: torch.Generator
) -> StepResult:
    """Predict how often each digit occurs, under random gates."""
    gates = random_gates(len(batch.images), supernet.space, recipe.pretrain_min_ratio, generator)
    logits = _forward(supernet, batch.images, gates, recipe).unflatten(1, (10, 5))  # (B, 10, K)
    loss = F.cross_entropy(logits.flatten(0, 1), batch.digit_counts.flatten())
    right = (logits.argmax(2) == batch.digit_counts).float().mean().item()
    return StepResult(loss, loss.item(), 0.0, gates.mean().item(), right)


def joint_step(
    supernet: Supernet,
    assembler: Assembler,
    batch: Batch,
    recipe: Recipe,
    gate_weight: float,
    generator: torch.Generator,
) -> StepResult:
    """Task loss under the assembler's own gates, plus the weighted gate loss (Eq. 6)."""
    gates, discrete = training_gates(assembler(batch.tasks, batch.limits), generator)  # (B, N) each
    logits = _forward(supernet, batch.images, gates, recipe)  # (B, 2)
    task = F.cross_entropy(logits, batch.answers)
    over = gate_loss(discrete, batch.limits)
    right = (logits.argmax(1) == batch.answers).float().mean().item()
    return StepResult(task + gate_weight * over, task.item(), over.item(), discrete.mean().item(), right)


@torch.no_grad()
def calibrate_step(supernet: Supernet, assembler: Assembler, batch: Batch, recipe: Recipe) -> None:
    """Let the running batch norm statistics see what is deployed: discrete gates that keep their limit.

    Half of the samples of the joint training see soft gates, so that its statistics are of networks nobody gets.
    """
    limits = batch.limits.clamp_min((len(supernet.space.sites) + 1) / supernet.space.total)
    weights = assembler(batch.tasks, limits)
    supernet(batch.images, open_modules(weights, limits, supernet.space).float())


def reset_batch_norm(module: nn.Module) -> None:
    """Start the running statistics anew, as a plain average over the batches to come."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
            part.momentum = None


def _forward(supernet: Supernet, images: Tensor, gates: Tensor, recipe: Recipe) -> Tensor:
    images = images.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bfloat16"):
        logits: Tensor = supernet(images, gates)
    return logits.float()
