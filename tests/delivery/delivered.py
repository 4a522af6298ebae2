"""Delivered models whose answers are known: ordinary torch modules, really converted, with a manifest as customize
writes it."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from edgewright.converters.torch_to_tflite import convert
from edgewright.domains.detection.detector import Detector
from PIL import Image
from torch import Tensor, nn

SIDE, STRIDE = 64, 8
CATEGORIES = ("red thing", "green thing", "blue thing")
ATTROD: dict[str, Any] = {
    "name": "attrod", "categories": list(CATEGORIES), "asked": [0, 2], "side": SIDE, "strides": [STRIDE],
}  # fmt: skip
NUMVQA: dict[str, Any] = {"name": "numvqa", "answers": ["no", "yes"]}


class ColourDetector(nn.Module):
    """Finds cells of 8 x 8 pixels by how red, green or blue they are; a box is the cell."""

    def forward(self, x: Tensor) -> Tensor:
        mean = F.avg_pool2d(x, STRIDE)  # (B, 3, 8, 8)
        excess = 3 * mean - 2 * mean.sum(1, keepdim=True)  # of a channel over the others: 1 for a pure colour
        raw = torch.cat([0 * mean, 0 * mean[:, :1], 8 * excess - 4], 1)  # (B, 4 + 3, 8, 8)
        return raw.flatten(2).transpose(1, 2)  # (B, 64, 7)


class BrightnessJudge(nn.Module):
    """Says yes to pictures that are more white than black."""

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((1, 2, 3))[:, None]  # (B, 1)
        return torch.cat([0 * mean, 8 * (mean - 0.5)], 1)  # (B, 2)


class SmallFeatures(nn.Module):
    """Maps of strides 8 and 16, with 4 channels each."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(3, 4, 8, stride=8), nn.Conv2d(4, 4, 2, stride=2)

    def forward(self, x: Tensor) -> list[Tensor]:
        fine = F.relu(self.fine(x))
        return [fine, F.relu(self.coarse(fine))]


def untrained_detector() -> Detector:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Detector(SmallFeatures(), (4, 4), len(CATEGORIES), width=4, depth=1).eval()


@cache
def detector_file() -> bytes:
    return convert(ColourDetector().eval(), torch.zeros(1, 3, SIDE, SIDE))


@cache
def judge_file() -> bytes:
    return convert(BrightnessJudge().eval(), torch.zeros(1, 1, 56, 56))


def deliver(path: Path, content: bytes, outputs: dict[str, Any], /, **changes: Any) -> Path:
    """A model and its manifest; `changes` replace what the manifest says, None removes it."""
    sha = hashlib.sha256(content).hexdigest()
    manifest = {
        "format": "edgewright-artifact", "task": "red, blue", "outputs": outputs, "hashes": {"model_sha256": sha},
    } | changes  # fmt: skip
    path.write_bytes(content)
    kept = {key: value for key, value in manifest.items() if value is not None}
    path.with_name(f"{path.name}.manifest.json").write_text(json.dumps(kept))
    return path


def write_picture(path: Path, width: int, height: int, *blocks: tuple[tuple[int, int, int, int], str]) -> Path:
    """A black picture with blocks (x0, y0, x1, y1) of one colour each."""
    picture = Image.new("RGB", (width, height))
    for box, colour in blocks:
        picture.paste(Image.new("RGB", (box[2] - box[0], box[3] - box[1]), colour), box[:2])
    picture.save(path)
    return path


def grey(path: Path, level: int, size: tuple[int, int] = (56, 56)) -> Path:
    Image.fromarray(np.full(size[::-1], level, np.uint8)).save(path)
    return path
