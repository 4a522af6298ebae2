"""Writes the same networks in every format: `python network_files.py FOLDER TEMPLATES`.

A program of its own, because a conversion starts threads that a process which forks must not have. For each network
`<name>.tflite`, `.pt2` (torch.export), `.pt` (traced TorchScript), `-inputs.npy` and `-outputs.npy` (torch's answers).
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from tiny_models import conv_chain

SIZE, CHANNELS, DEPTH = 32, 16, 4


class ConvChain(nn.Module):
    """`tiny_models.conv_chain` with the same seed, in torch; (1, H, W, C) in and out."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        bias = rng.standard_normal(CHANNELS) * 0.1
        weight = rng.standard_normal((CHANNELS, 3, 3, CHANNELS)) / (3 * np.sqrt(CHANNELS))  # (out, H, W, in)
        self.bias = nn.Parameter(torch.tensor(bias, dtype=torch.float32))
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float32).permute(0, 3, 1, 2).contiguous())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.permute(0, 3, 1, 2)
        for _ in range(DEPTH):
            x = torch.relu(torch.conv2d(x, self.weight, self.bias, padding=1))
        return x.permute(0, 2, 3, 1)


def save(folder: Path, name: str, network: nn.Module, tflite: bytes, shape: tuple[int, ...]) -> None:
    network.eval()
    inputs = torch.rand(3, *shape[1:], generator=torch.Generator().manual_seed(1))  # (N, ...)
    with torch.no_grad():
        outputs = torch.cat([network(entry[None]) for entry in inputs])
    (folder / f"{name}.tflite").write_bytes(tflite)
    torch.export.save(torch.export.export(network, (torch.zeros(shape),)), folder / f"{name}.pt2")
    torch.jit.trace(network, torch.zeros(shape)).save(str(folder / f"{name}.pt"))
    np.save(folder / f"{name}-inputs.npy", inputs.numpy())
    np.save(folder / f"{name}-outputs.npy", outputs.numpy())


def save_subnet(folder: Path, templates: Path) -> None:
    """Half of the shipped supernet's modules, cut out of its template."""
    from edgewright.assembler.archive import TrainedSupernet
    from edgewright.customize.templates import load_or_build
    from edgewright.gates import Gates
    from edgewright.shipped import shipped_supernet

    trained = TrainedSupernet.load(shipped_supernet())
    space = trained.supernet.space
    gates = Gates(space, np.arange(space.total) % 2 == 0)
    template = load_or_build(trained, templates)
    tflite = template.emit(gates.pack()).tobytes()
    save(folder, "subnet", trained.supernet.eval().extract(gates), tflite, (1, *trained.image_shape))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    target, templates = map(Path, sys.argv[1:])
    templates.mkdir(parents=True, exist_ok=True)
    save(target, "conv_chain", ConvChain(), conv_chain(SIZE, CHANNELS, DEPTH), (1, SIZE, SIZE, CHANNELS))
    save_subnet(target, templates)
