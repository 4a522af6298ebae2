"""Several processes train as one: each handles its part of every batch, and all take the same step.

`torchrun` starts and numbers them; without it there is one. Torch's DistributedDataParallel averages gradients.
Batch norm sees the whole batch. Torch's own synchronised batch norm needs GPUs, so a torch function mode computes every
batch norm of any model from sums over all processes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.overrides import TorchFunctionMode

from ..errors import InputError
from .compute import DeviceChoice, choose_device


@dataclass(frozen=True)
class Workers:
    """The processes of a run, as one of them sees them: its `rank` of `count`, and the device it computes on."""

    rank: int = 0
    count: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and reports progress."""
        return self.rank == 0

    def part(self, n: int) -> slice:
        """This process's part of a batch of `n`. Raises `InputError` when the parts would not be equal."""
        if n % self.count or n // self.count < 2:
            raise InputError(
                f"a batch of {n} cannot be shared by {self.count} processes; set `batch_size` to a multiple of "
                f"{self.count}, at least {2 * self.count}"
            )
        size = n // self.count
        return slice(self.rank * size, (self.rank + 1) * size)

    def wrap(self, module: nn.Module) -> nn.Module:
        """`module`, with gradients averaged over all processes."""
        if self.count == 1:
            return module
        return DistributedDataParallel(module, forward_sync_buffers=False)

    def synchronised(self) -> contextlib.AbstractContextManager[Any]:
        """A context in which batch norm sees the batches of all processes."""
        return contextlib.nullcontext() if self.count == 1 else _WholeBatchNorm()

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes; every process must call this."""
        if self.count > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values / self.count

    def agreed(self, value: float) -> float:
        """The first process's value; every process must call this."""
        if self.count == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(told, 0)
        return float(told)


@contextlib.contextmanager
def joined(choice: DeviceChoice) -> Iterator[Workers]:
    """The processes that torchrun started, connected. Raises `InputError` if CUDA is requested and missing."""
    device = choose_device(choice)
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count == 1:
        yield Workers(device=device)
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Workers(dist.get_rank(), count, device)
    finally:
        dist.destroy_process_group()


def is_first_process() -> bool:
    """Whether this is the first process; works before it has joined the others."""
    return os.environ.get("RANK", "0") == "0"


class _WholeBatchNorm(TorchFunctionMode):
    """Every `batch_norm` in training mode is computed over the batches of all processes."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return (_batch_norm if func is F.batch_norm else func)(*args, **(kwargs or {}))


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`torch.nn.functional.batch_norm`, its statistics over all processes; `input` is `(B, C)` or `(B, C, H, W)`."""
    if not training:
        return F.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    x = input if input.dtype == torch.float64 else input.float()
    axes = [0, *range(2, x.dim())]
    shape = [1, -1, *[1] * (x.dim() - 2)]
    n = x.numel() // x.shape[1] * dist.get_world_size()
    mean = _Sum.apply(x.sum(axes)) / n  # (C,)
    centred = x - mean.view(shape)
    variance = _Sum.apply(centred.square().sum(axes)) / n  # (C,)
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.detach(), momentum)
            running_var.lerp_(variance.detach() * n / (n - 1), momentum)
    y = centred * (variance + eps).rsqrt().view(shape)
    y = y if weight is None else y * weight.view(shape)
    y = y if bias is None else y + bias.view(shape)
    return y.to(input.dtype)


class _Sum(torch.autograd.Function):
    """A sum over all processes; its gradient is summed over all processes too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        total = gradient.clone()
        dist.all_reduce(total)
        return total
