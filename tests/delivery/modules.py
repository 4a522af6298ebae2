"""Ordinary torch modules of all kinds of inputs and outputs, and false devices: real sessions whose answers are
changed on their way to the host."""

from __future__ import annotations

import torch
from torch import Tensor, nn

EXAMPLE = (torch.linspace(-1, 1, 3 * 8 * 8).reshape(1, 3, 8, 8), torch.tensor([[3, 49, 0, 7, 12]]))


class Captioned(nn.Module):
    """An image and the ids of five words; five scores and the best of them."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 8)
        self.conv = nn.Conv2d(3, 8, 3)
        self.head = nn.Linear(16, 5)

    def forward(self, image: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        both = torch.cat([self.conv(image).relu().mean((2, 3)), self.words(ids).mean(1)], 1)  # (B, 16)
        scores = self.head(both)  # (B, 5)
        return scores, scores.argmax(1)


class Scaled(nn.Module):
    """A batch of four and a single number; named outputs, one of them a single number."""

    def forward(self, x: Tensor, factor: Tensor) -> dict[str, Tensor]:
        return {"scaled": x * factor, "total": x.sum(), "above": x > 0}


class Wide(nn.Module):
    """Large enough to lie on the device for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 64))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def seeded(make: type[nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().eval()


class Lying:
    """A real session that is `slower` by a factor, and whose outputs go through `change(position, values)`."""

    def __init__(self, session, slower=1.0, change=lambda position, values: values):
        self._session, self._slower, self._change = session, slower, change
        self.ran: list[tuple] = []
        self.delivered: list[str] = []

    def __getattr__(self, name):
        return getattr(self._session, name)

    def measure(self, job, protocol):
        reply = self._session.measure(job, protocol)
        return {**reply, "samples_ms": [self._slower * sample for sample in reply["samples_ms"]]}

    def run_each(self, job, inputs):
        self.ran.append(tuple(inputs))
        outputs = self._session.run_each(job, inputs)
        return tuple(self._change(position, values) for position, values in enumerate(outputs))

    def deliver(self, sha256, name):
        self.delivered.append(name)
        return self._session.deliver(sha256, name)
