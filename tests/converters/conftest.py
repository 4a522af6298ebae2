"""Real supernets, really converted. A conversion takes seconds, so every test shares these."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import timm
import torch
from edgewright.converters.build import Masks, build_template, pack_masks
from edgewright.converters.flatbuffer import Graph
from edgewright.converters.probe_plan import probe_counts
from edgewright.converters.torch_to_tflite import convert
from edgewright.device_agent.template import Template, TemplateSite
from torch import Tensor, nn

Edits = Mapping[str, tuple[Sequence[str], Sequence[str]]]  # site -> (makers of its channels, consumers of them)


@dataclass(frozen=True)
class Supernet:
    module: nn.Module
    example: Tensor
    sites: tuple[TemplateSite, ...]
    edits: Edits

    def extract(self, masks: Masks) -> nn.Module:
        pruned = copy.deepcopy(self.module)
        for site in self.sites:
            channels = torch.from_numpy(np.repeat(masks[site.name], site.block)).nonzero()[:, 0]
            makers, consumers = self.edits[site.name]
            for name in makers:
                cut_outputs(pruned.get_submodule(name), channels)
            for name in consumers:
                cut_inputs(pruned.get_submodule(name), channels)
        return pruned

    def masks(self, rng: np.random.Generator, counts: Mapping[str, int] | None = None) -> Masks:
        masks = {}
        for site in self.sites:
            count = int(rng.integers(1, site.width + 1)) if counts is None else counts[site.name]
            masks[site.name] = rng.permutation(site.width) < count
        return masks


@dataclass(frozen=True)
class Built:
    """A supernet, its template, and a subnet in the probe's widths that litert-torch converted."""

    supernet: Supernet
    template: Template
    probe_masks: Masks
    probe_content: bytes

    def emit(self, masks: Masks) -> bytes:
        return self.template.emit(pack_masks(self.supernet.sites, masks)).tobytes()

    @property
    def full(self) -> bytes:
        return self.emit({site.name: np.ones(site.width, bool) for site in self.supernet.sites})

    def graph(self) -> Graph:
        return Graph(self.full)


def cut_outputs(layer: nn.Module, channels: Tensor) -> None:
    """Keep these output channels of a conv, a linear layer or a batch norm; a depthwise conv's groups follow."""
    for name in ("weight", "bias", "running_mean", "running_var"):
        if getattr(layer, name, None) is not None:
            setattr(layer, name, _like(getattr(layer, name), getattr(layer, name)[channels]))
    if isinstance(layer, nn.Conv2d) and layer.groups > 1:
        layer.groups = layer.groups * len(channels) // layer.out_channels
        layer.in_channels = len(channels)
    if isinstance(layer, nn.Conv2d):
        layer.out_channels = len(channels)
    if isinstance(layer, nn.BatchNorm2d):
        layer.num_features = len(channels)


def cut_inputs(layer: nn.Module, channels: Tensor) -> None:
    layer.weight = _like(layer.weight, layer.weight[:, channels])
    if isinstance(layer, nn.Conv2d):
        layer.in_channels = len(channels)


def _like(old: Tensor, new: Tensor) -> Tensor:
    return nn.Parameter(new.detach().clone()) if isinstance(old, nn.Parameter) else new.clone()


def randomised(module: nn.Module) -> nn.Module:
    """As after some training: a branch that computes zero is folded away, and small weights would hide mistakes."""
    generator = torch.Generator().manual_seed(1)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, generator=generator)
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.weight, layer.running_var):
                tensor.data.uniform_(0.5, 1.5, generator=generator)
            for tensor in (layer.bias, layer.running_mean):
                tensor.data.normal_(0, 0.2, generator=generator)
    return module.eval()


def resnet() -> Supernet:
    torch.manual_seed(0)
    module = timm.create_model("resnet18", in_chans=1, num_classes=2, channels=(8, 16, 24, 32), zero_init_last=False)
    sites, edits = (
        [TemplateSite("conv1", 64)],
        {"conv1": (["conv1", "bn1"], ["layer1.0.conv1", "layer1.0.downsample.0"])},
    )
    for stage, width in enumerate((8, 16, 24, 32), start=1):
        for block in (f"layer{stage}.0", f"layer{stage}.1"):
            sites.append(TemplateSite(f"{block}.conv1", width))
            edits[f"{block}.conv1"] = ([f"{block}.conv1", f"{block}.bn1"], [f"{block}.conv2"])
    return Supernet(randomised(module), torch.randn(1, 1, 40, 40), tuple(sites), edits)


class SqueezeExcite(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(width, 6, 1)
        self.expand = nn.Conv2d(6, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.expand(torch.relu(self.reduce(x.mean((2, 3), keepdim=True)))))


class InvertedResidual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(8, width, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.depthwise = nn.Conv2d(width, width, 3, 2, 1, groups=width)
        self.se = SqueezeExcite(width)
        self.project = nn.Conv2d(width, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.hardswish(self.depthwise(nn.functional.hardswish(self.bn(self.expand(x)))))
        return self.project(self.se(x))


class Mixed(nn.Module):
    """Squeeze-excite, depthwise and grouped convs, a bilinear resize, and linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.first = InvertedResidual(20)
        self.second = InvertedResidual(20)
        self.wide = nn.Conv2d(8, 24, 1)
        self.grouped = nn.Conv2d(24, 24, 3, 1, 1, groups=6)
        self.narrow = nn.Conv2d(24, 10, 1)
        self.hidden = nn.Linear(10, 12)
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(self.stem(x)))
        x = nn.functional.interpolate(self.wide(x), scale_factor=2, mode="bilinear")
        x = nn.functional.max_pool2d(torch.relu(self.grouped(nn.functional.leaky_relu(x))), 3, 2, 1)
        return self.head(nn.functional.gelu(self.hidden(self.narrow(x).mean((2, 3)))))


def mixed() -> Supernet:
    torch.manual_seed(0)
    edits: dict[str, tuple[list[str], list[str]]] = {}
    for block in ("first", "second"):
        makers = [f"{block}.{part}" for part in ("expand", "bn", "depthwise", "se.expand")]
        edits[f"{block}.expand"] = (makers, [f"{block}.se.reduce", f"{block}.project"])
        edits[f"{block}.se.reduce"] = ([f"{block}.se.reduce"], [f"{block}.se.expand"])
    edits |= {"wide": (["wide", "grouped"], ["narrow"]), "narrow": (["narrow"], ["hidden"])}
    edits |= {"hidden": (["hidden"], ["head"])}
    widths = {"expand": 20, "reduce": 6, "narrow": 10, "hidden": 12}
    sites = [TemplateSite(name, widths.get(name.split(".")[-1], 6), 4 if name == "wide" else 1) for name in edits]
    return Supernet(randomised(Mixed()), torch.randn(1, 3, 32, 32), tuple(sites), edits)


def built(supernet: Supernet) -> Built:
    torch.set_num_threads(1)
    template = build_template(supernet.module, supernet.example, supernet.sites, supernet.extract)
    (counts,) = probe_counts(supernet.sites)
    masks = supernet.masks(np.random.default_rng(5), counts)
    return Built(supernet, template, masks, convert(supernet.extract(masks), supernet.example))


@pytest.fixture(scope="session")
def resnet_built() -> Built:
    return built(resnet())


@pytest.fixture(scope="session")
def mixed_built() -> Built:
    return built(mixed())
