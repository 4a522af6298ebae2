"""A second kind of search space, as small as one can be: chains of convolutions, each with a width and a kernel."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from edgewright.errors import InputError
from edgewright.spaces.base import Drawing
from edgewright.spaces.features import PlainFeatures


@dataclass(frozen=True)
class Chain:
    """`layers`: (width, kernel) of each convolution."""

    layers: tuple[tuple[int, int], ...]
    kind: str = "chain"

    @property
    def encoding(self) -> bytes:
        return bytes(value for layer in self.layers for value in layer)

    @property
    def digest(self) -> str:
        return hashlib.sha256(b"chain" + self.encoding).hexdigest()[:16]

    @property
    def features(self) -> tuple[float, ...]:
        """MACs a pixel of each convolution."""
        widths = (1, *(width for width, _ in self.layers))
        return tuple(float(a * b * k * k) for a, (b, k) in zip(widths, self.layers, strict=False))


@dataclass(frozen=True)
class ChainSpace(PlainFeatures):
    n_layers: int = 3
    widths: tuple[int, ...] = (8, 16, 24, 32)
    kernels: tuple[int, ...] = (1, 3, 5)
    kind: str = "chain"

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(repr((self.n_layers, self.widths, self.kernels)).encode()).hexdigest()[:16]

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(f"macs of conv {number}" for number in range(self.n_layers))

    @property
    def n_different(self) -> int:
        return (len(self.widths) * len(self.kernels)) ** self.n_layers

    def decode(self, encoding: bytes) -> Chain:
        layers = tuple(zip(encoding[::2], encoding[1::2], strict=False))
        if len(encoding) != 2 * self.n_layers or not all(
            width in self.widths and kernel in self.kernels for width, kernel in layers
        ):
            raise InputError(f"{encoding!r} is no chain of {self.n_layers} convolutions of this space")
        return Chain(layers)

    def sentinel(self) -> Chain:
        return Chain(((self.widths[len(self.widths) // 2], self.kernels[0]),) * self.n_layers)

    def draw(self, n: int, drawing: Drawing, rng: np.random.Generator) -> Sequence[Chain]:
        """One of each of `n` equally large groups by their MACs, the cheapest and the most expensive among them."""
        layers = list(itertools.product(self.widths, self.kernels))
        every = {each.features: each for each in map(Chain, itertools.product(layers, repeat=self.n_layers))}
        del every[self.sentinel().features]
        by_macs = [every[features] for features in sorted(every, key=lambda each: (sum(each), each))]
        ends = np.linspace(1, len(by_macs) - 1, n - 1).round().astype(int).tolist()
        middle = [by_macs[int(rng.integers(first, last))] for first, last in itertools.pairwise(ends)]
        return [by_macs[0], *middle, by_macs[-1]]


def module_of(chain: Chain) -> Any:
    """The network, `(B, 1, 32, 32)` -> `(B, 4)`, with weights that its architecture alone determines."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers: list[nn.Module] = []
    channels = 1
    for width, kernel in chain.layers:
        layers += [nn.Conv2d(channels, width, kernel, padding=kernel // 2), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 4)).eval()


def tflite_of(chain: Chain) -> bytes:
    import torch
    from edgewright.converters.torch_to_tflite import convert

    return convert(module_of(chain), torch.zeros(1, 1, 32, 32))
