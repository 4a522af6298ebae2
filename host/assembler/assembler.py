"""The network that turns requests into module weights; a module is open where its weight is positive.

NN-Factory, sections 2.2 and 5: a multi-hot task and a sinusoidal limit become one selection encoding for the whole
model; each site has a batch norm of its own and a mixture of gaters. The gater's final ReLU, with the paper's threshold
of 0.5, is an ablation only: with it a weight is never negative, a soft gate never closes, and a closed gate gets no
gradient.

Shapes: `B` requests, `T` attributes, `P` limit encoding, `S` selection encoding, `E` gaters a site, `D` modules of a
site, `L` sites, `N` modules of all sites.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..gates import Gates, GateSpace
from ..tasks import TaskSpace
from .limits import open_modules, open_within
from .request import Request


@dataclass(frozen=True)
class AssemblerConfig:
    """The size of an assembler, and two ablations.

    Attributes:
        shared_norm: one batch norm of the selection for all sites.
        literal_relu: weights of at least 0, open above 0.5.
    """

    limit_dim: int = 32
    selection_dim: int = 128
    n_gaters: int = 4
    shared_norm: bool = False
    literal_relu: bool = False

    @property
    def threshold(self) -> float:
        """The weight above which a module opens."""
        return 0.5 if self.literal_relu else 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def encode_limit(limits: Tensor, dim: int) -> Tensor:
    """Sinusoidal encoding of the limit in percent, as a Transformer encodes a position: `(B,)` -> `(B, P)`."""
    frequency = 10000.0 ** (-torch.arange(0, dim, 2, device=limits.device, dtype=torch.float32) / dim)  # (P / 2,)
    angle = 100.0 * limits[:, None].float() * frequency  # (B, P / 2)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)  # (B, P)


class SiteGater(nn.Module):
    """The weights of one site: `E` gaters (linear, batch norm) over the site's own norm of the selection, mixed by a
    gating network."""

    def __init__(self, config: AssemblerConfig, width: int) -> None:
        super().__init__()
        self.shape = (config.n_gaters, width)
        self.norm = nn.Identity() if config.shared_norm else nn.BatchNorm1d(config.selection_dim)
        self.gaters = nn.Linear(config.selection_dim, config.n_gaters * width, bias=False)
        self.gater_norm = nn.BatchNorm1d(config.n_gaters * width)  # bias 0: about half of the modules open at first
        self.rectify = nn.ReLU() if config.literal_relu else nn.Identity()
        self.mixture = nn.Linear(config.selection_dim, config.n_gaters)

    def forward(self, selection: Tensor) -> Tensor:
        own = self.norm(selection)  # (B, S)
        candidates = self.rectify(self.gater_norm(self.gaters(own))).unflatten(1, self.shape)  # (B, E, D)
        share = self.mixture(selection).softmax(1)  # (B, E)
        return torch.einsum("be,bed->bd", share, candidates)  # (B, D)


class Assembler(nn.Module):
    """Module weights for requests."""

    def __init__(self, tasks: TaskSpace, space: GateSpace, config: AssemblerConfig | None = None) -> None:
        super().__init__()
        self.tasks, self.space, self.config = tasks, space, config or AssemblerConfig()
        request_dim = len(tasks.attributes) + self.config.limit_dim
        self.selection = nn.Sequential(
            nn.Linear(request_dim, self.config.selection_dim, bias=False),
            nn.BatchNorm1d(self.config.selection_dim),
            nn.ReLU(),
            *([nn.BatchNorm1d(self.config.selection_dim)] if self.config.shared_norm else []),
        )
        self.sites = nn.ModuleList(SiteGater(self.config, site.width) for site in space.sites)

    def forward(self, task: Tensor, limit: Tensor) -> Tensor:
        """Multi-hot tasks `(B, T)` and limits `(B,)` -> weights `(B, N)`."""
        request = torch.cat([task, encode_limit(limit, self.config.limit_dim)], 1)  # (B, T + P)
        selection = self.selection(request)  # (B, S)
        return torch.cat([site(selection) for site in self.sites], 1)  # (B, N)

    def open(self, weights: Tensor, limits: Tensor) -> Tensor:
        """Weights `(B, N)` and limits `(B,)` -> the modules `(B, N)` that are open under the limits.

        Raises `InputError` for a limit below one module per site.
        """
        return open_modules(weights - self.config.threshold, limits, self.space)

    def open_within(self, weights: Tensor, limits: Tensor) -> Tensor:
        """`open` for limits that are known to be high enough; on a GPU, nothing waits for the result."""
        return open_within(weights - self.config.threshold, limits, self.space)

    @torch.inference_mode()
    def weights(self, requests: Sequence[Request]) -> Tensor:
        """Weights `(B, N)` for requests, in one pass and in evaluation mode; on the CPU, wherever the assembler is."""
        self.eval()
        like = next(self.parameters())
        task = torch.stack([torch.from_numpy(self.tasks.encode(request.task.attributes)) for request in requests])
        limit = torch.tensor([request.limit for request in requests])
        weights: Tensor = self(task.to(like), limit.to(like.device)).float().cpu()  # (B, N)
        return weights

    def assemble(self, requests: Sequence[Request]) -> list[Gates]:
        """Discrete gates for requests; each respects its limit.

        Raises `InputError` for a limit below one module per site.
        """
        limits = torch.tensor([request.limit for request in requests])
        bits = self.open(self.weights(requests), limits)  # (B, N)
        return [Gates(self.space, row) for row in bits.numpy()]
