"""The losses of joint training, as modules: one forward pass under gates, one loss.

Random draws are made for the whole batch of a step and passed in, so that processes that share a batch use the same.

Shapes: `B` samples, `N` modules.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...gates import GateSpace
from ...supernet.supernet import Supernet
from ...training.compute import Compute
from ...training.loop import StepLoss
from ...training.objective import Batch, Objective
from ...training.rng import sent
from ..assembler import Assembler
from ..semhash import discrete_gates, gate_loss, training_gates

GATE_LOSS, RATIO = "gate_loss", "ratio"
"""What a step reports besides loss and score: the squared excess over the limit, and the mean share of open gates."""


@dataclass(frozen=True)
class JointNoise:
    """Which samples see discrete gates `(B, 1)`, and the noise on the assembler's weights, `(B, N)` or None."""

    coin: Tensor
    weights: Tensor | None = None

    @classmethod
    def draw(cls, n: int, space: GateSpace, semhash_noise: bool, generator: torch.Generator) -> JointNoise:
        coin = torch.rand(n, 1, generator=generator) < 0.5  # (B, 1)
        noise = torch.randn(n, space.total, generator=generator) if semhash_noise else None  # (B, N)
        return cls(coin, noise)

    def of(self, part: slice) -> JointNoise:
        """The rows of one process."""
        return JointNoise(self.coin[part], None if self.weights is None else self.weights[part])

    def to(self, device: torch.device) -> JointNoise:
        return JointNoise(sent(self.coin, device), None if self.weights is None else sent(self.weights, device))


def random_gates(n: int, space: GateSpace, min_ratio: float, generator: torch.Generator) -> Tensor:
    """Gates `(B, N)`; each sample has its own share of open ones, between `min_ratio` and one."""
    ratio = min_ratio + (1.0 - min_ratio) * torch.rand(n, 1, generator=generator)  # (B, 1)
    return (torch.rand(n, space.total, generator=generator) < ratio).float()  # (B, N)


class PretrainLoss(nn.Module):
    """The loss on everything that tasks ask about, under random gates."""

    def __init__(self, supernet: Supernet, objective: Objective, compute: Compute) -> None:
        super().__init__()
        self.supernet, self.objective, self.compute = supernet, objective, compute

    def forward(self, batch: Batch, gates: Tensor) -> StepLoss:
        outputs = self.compute.forward(self.supernet, batch.images, gates)
        loss, score = self.objective.pretrain_loss(outputs, batch)
        return StepLoss(loss, loss.detach(), score, {GATE_LOSS: torch.zeros_like(score), RATIO: gates.mean()})


class JointLoss(nn.Module):
    """Task loss under the assembler's own gates, plus the weighted gate loss (Eq. 6).

    Samples of `whole` see all gates open, and add the loss of pre-training with the weight of their number.
    """

    def __init__(
        self, supernet: Supernet, assembler: Assembler, objective: Objective, compute: Compute, keep_limits: bool
    ) -> None:
        super().__init__()
        self.supernet, self.assembler, self.objective, self.compute = supernet, assembler, objective, compute
        self.keep_limits = keep_limits

    def forward(
        self, batch: Batch, noise: JointNoise, gate_weight: float, whole: Batch | None = None
    ) -> StepLoss:
        weights = self.assembler(batch.tasks, batch.limits)  # (B, N)
        if noise.weights is not None:
            weights = weights + noise.weights
        discrete = discrete_gates(weights)  # (B, N)
        bits = weights > 0  # (B, N)
        if self.keep_limits:
            bits = self.assembler.open_within(weights, _kept(batch.limits, self.supernet))  # (B, N)
        gates = training_gates(weights, bits, noise.coin)  # (B, N)
        outputs = self.compute.forward(self.supernet, *_with(whole, batch.images, gates))
        (task, score), over = self.objective.task_loss(outputs[: len(gates)], batch), gate_loss(discrete, batch.limits)
        if whole is not None:
            rest = outputs[len(gates) :]
            task = task + len(rest) / len(gates) * self.objective.pretrain_loss(rest, whole).loss
        more = {GATE_LOSS: over.detach(), RATIO: discrete.detach().mean()}
        return StepLoss(task + gate_weight * over, task.detach(), score, more)


def _with(whole: Batch | None, images: Tensor, gates: Tensor) -> tuple[Tensor, Tensor]:
    """Images `(B, C, H, W)` and gates `(B, N)`, followed by those of `whole` under open gates."""
    if whole is None:
        return images, gates
    opened = gates.new_ones(len(whole.images), gates.shape[1])
    return torch.cat([images, whole.images]), torch.cat([gates, opened])


@torch.no_grad()
def calibrate_step(
    supernet: Supernet, assembler: Assembler, batch: Batch, compute: Compute, whole: Batch | None = None
) -> None:
    """Update the running batch norm statistics under deployed gates: discrete, and within their limit.

    Half of the samples of joint training see soft gates, so its statistics describe networks that are never deployed.
    """
    weights = assembler(batch.tasks, batch.limits)
    bits = assembler.open_within(weights, _kept(batch.limits, supernet))  # (B, N)
    images, gates = _with(whole, batch.images, bits.float())
    supernet(compute.images(images), gates)


def reset_batch_norm(module: nn.Module) -> None:
    """Reset the running statistics, and make them a plain average over the batches to come."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
            part.momentum = None


def _kept(limits: Tensor, supernet: Supernet) -> Tensor:
    """Limits `(B,)`, raised to leave room for a module at every site."""
    space = supernet.space
    return limits.clamp_min((len(space.sites) + 1) / space.total)
