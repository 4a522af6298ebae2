"""Attention as timm writes it in different families: heads are modules, or the line is named that keeps them whole."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import pytest
import timm
import torch
from edgewright.supernet.analysis.sites import Policy
from edgewright.supernet.supernet import find_plan

from tests.supernet.agreement import difference
from tests.supernet.conftest import randomise


@dataclass(frozen=True)
class Family:
    """A small model of it. `heads`: units of the attentions that are sites; `whole`: an attention's layer -> what keeps
    its heads whole; `feed_forward`: how many sites are hidden units."""

    image_size: int
    arguments: dict[str, Any]
    feed_forward: int
    heads: dict[str, int] = field(default_factory=dict)
    whole: dict[str, str] = field(default_factory=dict)
    policy: Policy = "single"


# Sizes are written into these lines as local variables, which follow the input and not the sliced weights.
FAMILIES = {
    "edgenext_xx_small": Family(
        64,
        {"depths": (1, 1, 1, 1)},
        feed_forward=4,
        whole={"stages.1.blocks.0.xca.qkv": r"edgenext.py:\d+, `x = x.permute\(0, 3, 1, 2\).reshape\(B, N, C\)`"},
    ),
    "xcit_nano_12_p16_224": Family(
        32,
        {"depth": 1, "cls_attn_layers": 1, "img_size": 32},
        feed_forward=2,
        whole={
            "blocks.0.attn.qkv": r"xcit.py:\d+, `qkv = .*C // self.num_heads",
            "cls_attn_blocks.0.attn.q": r"cait.py:\d+, `q = .*C // self.num_heads",
        },
        policy="coupled",
    ),
    "davit_tiny": Family(
        64,
        {"depths": (1, 1), "embed_dims": (24, 48), "num_heads": (3, 6)},
        feed_forward=4,
        whole={
            "stages.1.blocks.0.0.attn.qkv": r"davit.py:\d+, `qkv = .*C // self.num_heads",
            "stages.1.blocks.0.1.attn.qkv": r"davit.py:\d+, `qkv = .*C // self.num_heads",
        },
    ),
    "maxvit_tiny_tf_224": Family(
        64,
        {"depths": (1, 1), "embed_dim": (64, 96), "img_size": 64},
        feed_forward=4,
        heads={
            f"stages.{stage}.blocks.0.{block}.attn.qkv": 2 + stage
            for stage in (0, 1)
            for block in ("attn_block", "attn_grid")
        },
    ),
    "pvt_v2_b0": Family(
        64,
        {"depths": (1, 1, 1, 1)},
        feed_forward=4,
        whole={"stages.1.blocks.0.attn.q": r"pvt_v2.py:\d+, `x = x.transpose\(1, 2\).reshape\(B, N, C\)`"},
        policy="coupled",
    ),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_an_attention_is_gated_or_its_line_is_named(name: str) -> None:
    family = FAMILIES[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = randomise(timm.create_model(name, num_classes=4, **family.arguments), seed=1).eval()
    x = torch.randn(2, 3, family.image_size, family.image_size, generator=torch.Generator().manual_seed(2))
    plan = find_plan(backbone, x, family.policy)
    widths = {site.name: site.width for site in plan.sites}
    assert {name: width for name, width in widths.items() if "attn" in name and "mlp" not in name} == family.heads
    assert sum(name.endswith("mlp.fc1") for name in widths) == family.feed_forward
    reasons = {refused.producers[0]: "; ".join(refused.reasons) for refused in plan.refused}
    for layer, line in family.whole.items():
        assert re.search(f"the sliced model does not run at {line}", reasons[layer]), reasons[layer]
    assert difference(backbone.double(), plan, x.double(), seed=3) <= 1e-10
