"""Operators of decoders and of attention, as the runtime has them: slicing is converting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from edgewright.converters.build import build_template, random_masks
from edgewright.converters.parity import tflite_outputs
from edgewright.converters.torch_to_tflite import convert
from edgewright.device_agent.template import TemplateSite
from edgewright.supernet.supernet import modularize
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from tests.supernet.conftest import randomise

IMAGE = (3, 16, 16)


class Decoder(nn.Module):
    """Up by a transposed convolution, by shuffled channels, and by interpolation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.slope = nn.Conv2d(3, 9, 3, 2, 1), nn.PReLU(9)
        self.up, self.norm = nn.ConvTranspose2d(9, 12, 2, 2), nn.GroupNorm(4, 12)
        self.wide, self.shuffle = nn.Conv2d(12, 20, 1), nn.PixelShuffle(2)
        self.normed = parametrizations.weight_norm(nn.Conv2d(5, 14, 1))
        self.unshuffled, self.out = nn.Conv2d(14 * 4, 11, 1), nn.Conv2d(11, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.up(self.slope(self.stem(x)))).relu()
        x = self.normed(self.shuffle(self.wide(x))).relu()
        x = functional.interpolate(functional.pixel_unshuffle(x, 2), scale_factor=2, mode="nearest")
        return self.out(self.unshuffled(x).relu())


class Letters(nn.Module):
    """Attention written as letters, its heads normalised; beside it the runtime's own."""

    def __init__(self) -> None:
        super().__init__()
        self.first_heads, self.second_heads, self.head_dim = 4, 5, 6
        self.stem = nn.Conv2d(3, 8, 4, 4)
        self.first, self.second = nn.Linear(8, 3 * 4 * 6), nn.Linear(8, 3 * 5 * 6)
        self.q_norm, self.k_norm = nn.RMSNorm(6), nn.RMSNorm(6)
        self.proj, self.project = nn.Linear(4 * 6, 8), nn.Linear(5 * 6, 3)

    def heads(self, layer: nn.Module, x: Tensor, n_heads: int) -> tuple[Tensor, ...]:
        return layer(x).reshape(len(x), -1, 3, n_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)  # (B, N, C)
        q, k, v = self.heads(self.first, x, self.first_heads)
        weights = torch.einsum("bhid,bhjd->bhij", self.q_norm(q), self.k_norm(k)).softmax(-1)
        x = x + self.proj(torch.einsum("bhij,bhjd->bhid", weights, v).transpose(1, 2).flatten(2))
        q, k, v = self.heads(self.second, x, self.second_heads)
        return self.project(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


MODULES: dict[str, tuple[Callable[[], nn.Module], set[str]]] = {
    "decoder": (Decoder, {"stem", "up", "wide", "normed", "unshuffled"}),
    "letters": (Letters, {"first", "second"}),
}


@pytest.mark.parametrize("name", MODULES)
def test_slicing_is_converting(name: str) -> None:
    make, sites = MODULES[name]
    torch.manual_seed(0)
    torch.set_num_threads(1)
    supernet = modularize(randomise(make(), seed=1).eval(), torch.randn(2, *IMAGE)).eval()
    assert {site.name for site in supernet.plan.sites} == sites
    template_sites = [TemplateSite(site.name, site.width, site.block) for site in supernet.space.sites]

    def extract(masks: Any) -> nn.Module:
        return supernet.extract(supernet.space.from_masks(masks))

    example = torch.zeros(1, *IMAGE)
    template = build_template(supernet.extract(supernet.space.full()), example, template_sites, extract)
    counts = {site.name: max(2, site.width // 2) for site in template_sites}
    gates = supernet.space.from_masks(random_masks(template_sites, counts, np.random.default_rng(1)))
    x = np.random.default_rng(2).standard_normal((2, *IMAGE)).astype(np.float32)
    sliced = template.emit(gates.pack()).tobytes()
    np.testing.assert_array_equal(
        tflite_outputs(sliced, x), tflite_outputs(convert(supernet.extract(gates), example), x)
    )
