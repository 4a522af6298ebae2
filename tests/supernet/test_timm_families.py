"""Every family of timm whose channels can be sliced: what is a site, what stays whole and why, and that both are right.

One row per model: image size, policy, number of sites, and how many groups of channels stay whole for which reason.
Weights are random, but nothing is zero: a branch that starts at zero would hide what is sliced in it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
import timm
import torch
from edgewright.errors import InputError
from edgewright.supernet.analysis.sites import Policy
from edgewright.supernet.plan import SitePlan, SupernetPlan
from edgewright.supernet.supernet import find_plan, modularize
from torch import Tensor, nn

from tests.supernet.agreement import difference
from tests.supernet.conftest import randomise
from tests.supernet.oracle import Oracle, planned_with_first_unit


@dataclass(frozen=True)
class Row:
    name: str
    image_size: int
    policy: Policy
    n_sites: int
    whole: str

    def __str__(self) -> str:
        return f"{self.name}-{self.policy}"


# The head's output stays whole in all of them.
ROWS = (
    Row("resnet18", 32, "single", 8, "several producers 4"),
    Row("resnet18", 32, "coupled", 12, ""),
    Row("resnet50", 32, "single", 33, "several producers 4"),
    Row("seresnet18", 32, "single", 16, "several producers 4"),
    Row("mobilenetv2_050", 32, "single", 20, "several producers 5"),
    Row("mobilenetv2_050", 32, "coupled", 25, ""),
    Row("mobilenetv3_small_050", 32, "single", 23, "several producers 3"),
    Row("mobilenetv4_conv_small_035", 64, "single", 19, "several producers 2"),
    Row("efficientnet_b0", 32, "single", 35, "several producers 5"),
    Row("efficientnet_lite0", 32, "single", 19, "several producers 5"),
    Row("efficientnet_es", 32, "single", 21, "several producers 5"),
    Row("tf_efficientnetv2_b0", 32, "single", 39, "several producers 5"),
    Row("tinynet_e", 32, "single", 25, "several producers 3"),
    Row("mnasnet_small", 32, "single", 27, "several producers 4"),
    Row("semnasnet_075", 32, "single", 27, "several producers 5"),
    Row("spnasnet_100", 32, "single", 24, "several producers 5"),
    Row("fbnetc_100", 32, "single", 23, "several producers 6"),
    Row("lcnet_035", 32, "single", 17, ""),
    Row("rexnet_100", 32, "single", 35, "several producers 11"),
    Row("regnetx_002", 32, "single", 14, "several producers 4"),
    Row("regnety_002", 32, "single", 27, "several producers 4"),
    Row("convnext_atto", 32, "single", 12, "normalised 4, several producers 4"),
    Row("inception_next_atto", 64, "single", 12, "normalised 1, several producers 16"),
    Row("vit_tiny_patch16_224", 32, "single", 24, "normalised 1, several producers 1"),
    Row("deit_tiny_patch16_224", 32, "single", 24, "normalised 1, several producers 1"),
    Row("deit3_small_patch16_224", 32, "single", 24, "normalised 1, several producers 1"),
    Row(
        "eva02_tiny_patch14_224", 28, "single", 12, "normalised 1, not applied by its own layer 1, several producers 1"
    ),
    Row("swin_tiny_patch4_window7_224", 112, "single", 24, "normalised 4, several producers 4"),
    Row("pit_ti_224", 64, "single", 24, "normalised 1, several producers 1"),
    Row("mixer_s32_224", 64, "single", 16, "normalised 1, several producers 1, split by a reshape 8"),
    Row("mobilevit_xxs", 64, "single", 38, "normalised 3, several producers 5"),
    Row(
        "mobilevitv2_050",
        64,
        "single",
        32,
        "a single channel 9, fewer than 2 units 9, normalised 3, several producers 4",
    ),
    Row(
        "edgenext_xx_small",
        64,
        "single",
        12,
        "chunks of different size 2, normalised 5, self-check 3, several producers 5",
    ),
    Row("fastvit_t8", 64, "single", 11, "several producers 1"),
    Row("levit_128s", 224, "single", 23, "several producers 6"),
    Row("efficientvit_b0", 64, "single", 11, "normalised 1, several producers 5, split by a reshape 4"),
    Row("repvit_m0_9", 32, "single", 37, "several producers 5"),
    Row("poolformer_s12", 32, "single", 12, "normalised 5, several producers 4"),
    Row("densenet121", 32, "single", 120, ""),
    Row("ghostnet_050", 32, "single", 25, "several producers 6"),
    Row("mixnet_s", 32, "single", 60, "several producers 12"),
    Row("repvgg_a0", 32, "coupled", 5, ""),
    Row("mobileone_s0", 32, "coupled", 4, ""),
    Row("hrnet_w18_small", 64, "coupled", 45, ""),
    Row("dla34", 32, "single", 19, "several producers 6"),
    Row("res2net50_26w_4s", 32, "single", 29, "several producers 16"),
    Row("resnest14d", 32, "single", 7, "fewer than 2 units 4, several producers 8"),
    Row("skresnet18", 32, "single", 8, "several producers 12"),
    Row("seresnext26ts", 32, "single", 19, "several producers 4"),
    Row("gernet_s", 32, "single", 23, "several producers 5"),
    Row("cspresnet50", 32, "single", 38, "several producers 4"),
    Row("ese_vovnet19b_dw", 32, "single", 23, ""),
    Row("selecsls42b", 32, "single", 41, ""),
    Row("dpn48b", 32, "single", 37, "several producers 4"),
    Row("starnet_s1", 32, "single", 16, "several producers 4"),
    Row("eca_resnet33ts", 32, "single", 14, "several producers 4, spatial axis 10, spatial axis of a convolution 10"),
    Row("resnetv2_50", 32, "single", 33, "several producers 4"),
    Row("inception_v3", 96, "single", 94, ""),
    Row("ghostnet_050", 32, "coupled", 31, ""),
    Row("regnety_002", 32, "coupled", 31, ""),
    Row("efficientnet_b0", 32, "coupled", 40, ""),
    Row("resmlp_12_224", 64, "single", 12, "several producers 1, split by a reshape 12"),
)

NO_SITE = {
    "repvgg_a0": (32, "several producers 5"),  # every block is a sum; `coupled` gates it
    "nf_resnet26": (32, ""),  # standardises its weights before it applies them
    "convnextv2_atto": (32, "mean 12, normalised 4, several producers 4"),
    "gmlp_ti16_224": (64, "normalised 31, several producers 1, split by a reshape 30"),
}

# DependencyGraph takes the parts of a split for one another; only the numbers judge these.
MIXED_UP_SPLITS = {
    "cspresnet50", "dpn48b", "eva02_tiny_patch14_224", "levit_128s", "mixnet_s", "mobilevitv2_050",
    "res2net50_26w_4s", "rexnet_100",
}  # fmt: skip


def backbone_of(name: str, image_size: int) -> tuple[nn.Module, Tensor]:
    config = timm.get_pretrained_cfg(name)
    arguments = {"img_size": image_size} if config.fixed_input_size else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = randomise(timm.create_model(name, pretrained=False, **arguments), seed=1)
    generator = torch.Generator().manual_seed(2)
    return backbone.eval(), torch.randn(2, 3, image_size, image_size, generator=generator)


def short(reason: str) -> str:
    """A reason without its figures and names."""
    for end in (" (", ": ", "; ", " to the layer's input", " over the axis", " is taken"):
        reason = reason.partition(end)[0]
    return reason.removeprefix("linear whose weight is ")


def whole(plan: SupernetPlan) -> str:
    counts = Counter(short(reason) for refused in plan.refused for reason in refused.reasons)
    assert counts.pop("model output") == 1
    return ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))


def has_groups_of_several(site: SitePlan) -> bool:
    return any(layer.channels_per_group > 1 for layer in site.grouped)


@pytest.mark.sweep
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_model_is_modular(row: Row) -> None:
    backbone, x = backbone_of(row.name, row.image_size)
    plan = find_plan(backbone, x, row.policy)
    assert (len(plan.sites), whole(plan)) == (row.n_sites, row.whole)
    if row.name not in MIXED_UP_SPLITS:
        oracle = Oracle(backbone, x)
        for site in plan.sites:
            planned = planned_with_first_unit(backbone, site)
            assert has_groups_of_several(site) or planned == oracle.sliced_with_first_unit(site), site.name
    assert difference(backbone.double(), plan, x.double(), seed=3) <= 1e-10


@pytest.mark.parametrize("name", NO_SITE)
def test_a_model_without_a_site_is_refused_with_the_reasons(name: str) -> None:
    image_size, reasons = NO_SITE[name]
    backbone, x = backbone_of(name, image_size)
    assert whole(find_plan(backbone, x)) == reasons
    with pytest.raises(InputError, match="has no channels that can be sliced away under policy 'single'"):
        modularize(backbone, x)


def test_the_list_is_long_enough() -> None:
    assert len({row.name for row in ROWS} | set(NO_SITE)) >= 40
