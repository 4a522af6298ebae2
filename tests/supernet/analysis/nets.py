"""Small modules, one construct each, and what must hold for their subnets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from edgewright.supernet.plan import SitePlan, SupernetPlan
from edgewright.supernet.supernet import Supernet
from torch import Tensor, nn

X = torch.randn(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))  # (B, C, H, W)


class Net(nn.Module):
    """Named layers, and a forward that is given as a function of them."""

    def __init__(self, forward: Callable[[Net, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self._forward = forward

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self, x)


def conv(inputs: int, outputs: int, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, groups=groups)


def places(site: SitePlan, tensor: str) -> list[tuple[int, int, int]]:
    """(axis, offset, block) of the site in a tensor."""
    return [(part.axis, part.offset, part.block) for part in site.slices if part.tensor == tensor]


@torch.no_grad()
def check_subnets(supernet: Supernet) -> None:
    """Gated equals sliced, for one set of gates and per sample; and a saved plan does the same."""
    supernet.eval()
    rng = np.random.default_rng(0)
    sets = [supernet.space.sample(0.6, rng) for _ in range(len(X))]
    rows = torch.from_numpy(np.stack([gates.bits for gates in sets])).float()
    together = supernet(X, rows)
    for i, gates in enumerate(sets):
        sliced = supernet.extract(gates)(X)
        assert torch.allclose(supernet.forward_with(X, gates), sliced, atol=1e-5)
        assert torch.allclose(together[i], sliced[i], atol=1e-5)
    assert SupernetPlan.from_json(supernet.plan.to_json()) == supernet.plan


class Attention(nn.Module):
    """Written as most are: one layer for query, key and value, sizes kept as attributes."""

    def __init__(self, dim: int = 12, num_heads: int = 4, head_dim: int = 5) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.attn_dim = num_heads, head_dim, num_heads * head_dim
        self.stem = conv(3, dim)
        self.bias_table = nn.Parameter(torch.randn(31, num_heads))
        self.register_buffer("index", torch.arange(256).reshape(16, 16) % 31)
        self.qkv, self.proj = nn.Linear(dim, 3 * self.attn_dim), nn.Linear(self.attn_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)  # (B, N, C)
        B, N, _ = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.bias_table[self.index.view(-1)].view(N, N, -1).permute(2, 0, 1).unsqueeze(0)  # (1, heads, N, N)
        x = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)  # (B, heads, N, d)
        return self.proj(x.transpose(1, 2).reshape(B, N, self.attn_dim))
