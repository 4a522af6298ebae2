"""Supernets as `modularize` makes them become templates: slicing one is converting the subnet that was cut out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import timm
import torch
from edgewright.converters.build import build_template, random_masks
from edgewright.converters.parity import tflite_outputs
from edgewright.converters.torch_to_tflite import convert
from edgewright.device_agent.template import TemplateSite
from edgewright.supernet.supernet import Supernet, modularize
from timm.models.densenet import DenseNet
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from tests.converters.conftest import randomised
from tests.marks import sweep


@dataclass(frozen=True)
class Family:
    make: Callable[[], nn.Module]
    image_size: int


FAMILIES = {
    "mobilenet with squeeze-and-excite": Family(lambda: timm.create_model("mobilenetv3_small_050", num_classes=4), 64),
    "transformer": Family(lambda: VisionTransformer(32, 8, embed_dim=48, depth=2, num_heads=3, num_classes=4), 32),
    "dense": Family(lambda: DenseNet(growth_rate=8, block_config=(2, 2), num_classes=4), 64),
    "concatenated halves": Family(lambda: timm.create_model("ghostnet_050", num_classes=4), 64),
    "grouped convolutions": Family(lambda: timm.create_model("regnetx_002", num_classes=4), 64),
    "convolutions and transformers": Family(lambda: timm.create_model("mobilevit_xxs", num_classes=4), 64),
}


def supernet_of(family: Family, **options: Any) -> Supernet:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    backbone = randomised(family.make())
    return modularize(backbone, torch.randn(2, 3, family.image_size, family.image_size), **options).eval()


def build(supernet: Supernet, image_size: int) -> Any:
    sites = [TemplateSite(site.name, site.width, site.block) for site in supernet.space.sites]

    def extract(masks: Any) -> nn.Module:
        return supernet.extract(supernet.space.from_masks(masks))

    return build_template(
        supernet.extract(supernet.space.full()), torch.zeros(1, 3, image_size, image_size), sites, extract
    )


QUICK = ("transformer",)


@pytest.mark.parametrize("name", [name if name in QUICK else sweep(name) for name in FAMILIES])
def test_slicing_is_converting(name: str) -> None:
    family = FAMILIES[name]
    supernet = supernet_of(family)
    template = build(supernet, family.image_size)
    # Not a single head: of one, the converter would leave out the axis, and sum in another order.
    counts = {site.name: max(2, site.width // 2) for site in template.sites}
    gates = supernet.space.from_masks(random_masks(template.sites, counts, np.random.default_rng(1)))
    x = np.random.default_rng(2).standard_normal((2, 3, family.image_size, family.image_size)).astype(np.float32)
    converted = convert(supernet.extract(gates), torch.zeros(1, 3, family.image_size, family.image_size))
    sliced = template.emit(gates.pack()).tobytes()
    np.testing.assert_array_equal(tflite_outputs(sliced, x), tflite_outputs(converted, x))
