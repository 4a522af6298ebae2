"""The plan: sites, layers and refusals, saved and attached again."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import timm
import torch
from edgewright.errors import InputError
from edgewright.gates import Layer
from edgewright.supernet.analysis.walk import analyse
from edgewright.supernet.plan import SupernetPlan
from edgewright.supernet.supernet import Supernet, modularize, summarise
from torch import Tensor, nn

Case = Any


def refusals(supernet: Supernet) -> dict[str, str]:
    return {refused.producers[0]: "; ".join(refused.reasons) for refused in supernet.plan.refused}


def resnet18(**changes: Any) -> nn.Module:
    return timm.create_model("resnet18", **{"channels": (8, 16, 24, 32), "in_chans": 1, "num_classes": 10, **changes})


@torch.no_grad()
def test_a_saved_supernet_attaches_to_a_fresh_backbone(resnet: Case) -> None:
    plan = SupernetPlan.from_json(resnet.supernet.plan.to_json())
    assert plan == resnet.supernet.plan
    again = Supernet(resnet18(), plan).eval()
    again.load_state_dict(resnet.supernet.state_dict())
    gates = again.space.sample(0.5, np.random.default_rng(0))
    assert torch.equal(again.forward_with(resnet.x, gates), resnet.supernet.forward_with(resnet.x, gates))
    assert torch.equal(again.extract(gates)(resnet.x), resnet.supernet.extract(gates)(resnet.x))


def test_plans_of_all_families_survive_json(case: Case) -> None:
    assert SupernetPlan.from_json(case.supernet.plan.to_json()) == case.supernet.plan


@pytest.mark.parametrize(
    ("backbone", "sentence"),
    [
        (lambda: nn.Sequential(nn.Conv2d(1, 8, 3)), "the backbone has no module"),
        (lambda: resnet18(channels=(8, 16, 24, 24)), "layer4.0.conv1.* expected at least 32 on axis 0"),
        (lambda: resnet18(channels=(8, 16, 24, 40)), "name or shape"),
        (lambda: timm.create_model("resnet34", channels=(8, 16, 24, 32), in_chans=1, num_classes=10), "name or shape"),
        (lambda: resnet18(num_classes=11), "name or shape"),
    ],
)
def test_a_foreign_backbone(resnet: Case, backbone: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence + ".*do not belong together"):
        Supernet(backbone(), resnet.supernet.plan)


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '{"schema": 99}', '{"schema": 1, "sites": [{}]}', "null"])
def test_a_damaged_plan(damage: str) -> None:
    with pytest.raises(InputError, match="supernet plan"):
        SupernetPlan.from_json(damage)


def test_a_plan_with_an_unknown_field(resnet: Case) -> None:
    data = json.loads(resnet.supernet.plan.to_json())
    data["layers"][0]["colour"] = "red"
    with pytest.raises(InputError, match="not a supernet plan"):
        SupernetPlan.from_json(json.dumps(data))


def test_the_sites_of_a_resnet_are_the_inner_convolutions_of_its_blocks() -> None:
    backbone = timm.create_model("resnet18", in_chans=1, num_classes=10)
    supernet = modularize(backbone, torch.randn(2, 1, 32, 32), check=False)
    expected = [(f"layer{i}.{j}.conv1", 2 ** (5 + i), 1) for i in (1, 2, 3, 4) for j in (0, 1)]
    assert [(site.name, site.width, site.block) for site in supernet.space.sites] == expected
    first = supernet.plan.sites[0]
    assert [(c.module, c.batch_axis, c.channel_axis) for c in first.consumers] == [("layer1.0.conv2", 0, -3)]
    norm = [(f"layer1.0.bn1.{name}", 0) for name in ("bias", "running_mean", "running_var", "weight")]
    slices = [*norm, ("layer1.0.conv1.weight", 0), ("layer1.0.conv2.weight", 1)]
    assert [(part.tensor, part.axis) for part in first.slices] == slices
    assert refusals(supernet).keys() == {"conv1", "layer2.0.conv2", "layer3.0.conv2", "layer4.0.conv2", "fc"}
    assert "several producers" in refusals(supernet)["conv1"]
    assert "model output" in refusals(supernet)["fc"]


def test_layers_of_a_resnet(resnet: Case) -> None:
    layers = {layer.name: layer for layer in resnet.supernet.plan.layers}
    assert len(layers) == 1 + 16 + 4 + 1  # stem, blocks, a downsample per stage (the stem is wider than stage 1), head
    assert layers["conv1"] == Layer("conv1", None, "conv1", 1, 64, 1 * 64 * 49 * 16 * 16)
    assert layers["layer2.0.conv1"] == Layer("layer2.0.conv1", None, "layer2.0.conv1", 8, 16, 8 * 16 * 9 * 4 * 4)
    assert layers["layer2.0.conv2"] == Layer("layer2.0.conv2", "layer2.0.conv1", None, 16, 16, 16 * 16 * 9 * 4 * 4)
    assert layers["fc"] == Layer("fc", None, None, 32, 10, 320)


@pytest.mark.parametrize("ratio", [0.3, 0.7])
def test_macs_of_a_subnet_follow_from_the_layers(case: Case, ratio: float) -> None:
    """`macs * in share * out share` per layer is what the extracted subnet really costs."""
    gates = case.supernet.space.sample(ratio, np.random.default_rng(0))
    share = dict(
        zip(
            [s.name for s in gates.space.sites],
            [n / s.width for n, s in zip(gates.counts, gates.space.sites, strict=True)],
            strict=True,
        )
    )
    expected = sum(
        layer.macs * share.get(layer.in_site or "", 1.0) * share.get(layer.out_site or "", 1.0)
        for layer in case.supernet.plan.layers
    )
    assert measured_macs(case.supernet.extract(gates), case.x) == pytest.approx(expected, rel=1e-9)
    assert measured_macs(case.supernet.backbone, case.x) == sum(layer.macs for layer in case.supernet.plan.layers)


@torch.no_grad()
def measured_macs(module: nn.Module, x: Tensor) -> int:
    """Per sample, counted while it runs."""
    counted: list[int] = []
    handles = [
        layer.register_forward_hook(lambda m, _, y: counted.append(m.weight[0].numel() * y.numel() // len(x)))
        for layer in module.modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear))
    ]
    module.eval()(x)
    for handle in handles:
        handle.remove()
    return sum(counted)


def test_a_site_of_groups(make_case: Any) -> None:
    plan = make_case("regnetx").supernet.plan
    site = next(site for site in plan.sites if site.grouped)
    assert site.block == 8 and site.grouped[0].channels_per_group == 8
    assert plan.space.sites[plan.sites.index(site)].block == 8


def test_coupled_gates_the_residual_streams_too(make_case: Any) -> None:
    single, coupled = make_case("resnet18").supernet, make_case("resnet18", "coupled").supernet
    assert {site.name for site in single.plan.sites} < {site.name for site in coupled.plan.sites}
    assert (
        max(len(site.producers) for site in single.plan.sites) == 1 < max(len(s.producers) for s in coupled.plan.sites)
    )
    assert summarise(single).parameter_share < summarise(coupled).parameter_share <= 1
    assert summarise(single).mac_share <= summarise(coupled).mac_share <= 1


def test_summary_of_a_model_counted_by_hand() -> None:
    backbone = nn.Sequential(
        nn.Conv2d(3, 4, 1, bias=False),
        nn.ReLU(),
        nn.Conv2d(4, 5, 1),
        nn.GroupNorm(1, 5),
        nn.Flatten(),
        nn.Linear(20, 2),
    )
    summary = summarise(modularize(backbone, torch.randn(2, 3, 2, 2)))
    # Sliced: the first convolution (12) and the second's weight (20). Not: its bias (5), norm (10), linear (42).
    assert (summary.n_sites, summary.n_modules, summary.parameters) == (1, 4, 12 + 20 + 5 + 10 + 42)
    assert summary.parameter_share == pytest.approx(32 / 89)
    assert summary.macs == 3 * 4 * 4 + 4 * 5 * 4 + 20 * 2
    assert summary.mac_share == pytest.approx((48 + 80) / (48 + 80 + 40))


class Refused(nn.Module):
    """One construct per layer that must stay whole, beside one plain site."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 1)
        self.normed, self.grouped = nn.Conv2d(16, 8, 1), nn.Conv2d(8, 16, 1, groups=4)
        self.norm = nn.GroupNorm(1, 8)
        self.split, self.eca = nn.Conv2d(16, 12, 1), nn.Conv1d(1, 1, 3, padding=1)
        self.attended, self.plain, self.sorted = nn.Conv2d(6, 8, 1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
        self.functional, self.head = nn.Linear(8, 6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.normed(torch.cat([self.a(x), self.b(x)], 1)))
        left, right = self.split(self.grouped(x)).chunk(2, 1)
        x = self.attended(left + right)
        x = x * self.eca(x.mean((2, 3)).unsqueeze(1)).transpose(1, 2).unsqueeze(-1).sigmoid()
        x = self.sorted(self.plain(x)).mean((2, 3)).sort(1).values
        return self.head(nn.functional.linear(x, self.functional.weight))


def test_refusals_name_their_reasons() -> None:
    found = modularize(Refused(), torch.randn(2, 3, 4, 4))
    assert [site.name for site in found.plan.sites] == ["a", "b", "split", "plain"]
    reasons = refusals(found)
    for producer, part in {
        "normed": "normalised over the axis (group_norm)",
        "attended": "spatial axis of a convolution",
        "sorted": "no rule for sort",
        "head": "model output",
    }.items():
        assert part in reasons[producer], (producer, reasons[producer])


class Shifted(nn.Conv2d):
    """Changes its input before it sums over it, after a pre-hook would have gated."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + 1.0)


class Standardised(nn.Conv2d):
    """Computes its weight in its forward."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.weight - self.weight.mean(), self.bias)


class Sorted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sort(1).values


class ChannelPool(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.max_pool2d(x.transpose(1, 3), (1, 2)).transpose(1, 3)


@pytest.mark.parametrize(
    ("layers", "part"),
    [
        ([nn.Conv2d(3, 8, 1), Shifted(8, 6, 1)], "not applied by its own layer"),
        ([nn.Conv2d(3, 8, 1), ChannelPool(), nn.Conv2d(4, 6, 1)], "spatial axis of a pooling"),
        ([nn.Conv2d(3, 8, 1), Sorted(), nn.Conv2d(8, 6, 1)], "no rule for sort"),
        ([nn.Conv2d(3, 8, 1), nn.ChannelShuffle(2), nn.Conv2d(8, 6, 1)], "no rule for channel_shuffle"),
        ([nn.Conv2d(3, 8, 1), nn.Softmax2d(), nn.Conv2d(8, 6, 1)], "softmax over the axis"),
        ([nn.Conv2d(3, 8, 1), nn.Flatten(2), nn.Linear(16, 6)], "model output"),
        ([nn.Conv2d(3, 8, 1), Standardised(8, 6, 1)], "not applied by its own"),
    ],
)
def test_the_graph_alone_refuses(layers: list[nn.Module], part: str) -> None:
    plan = analyse(nn.Sequential(*layers), torch.randn(2, 3, 4, 4))
    assert plan.sites == () and plan.refused[0].producers == ("0",)
    assert part in "; ".join(plan.refused[0].reasons)


class Scaled(nn.Module):
    """Squeeze-and-excite, written in either order of the product."""

    def __init__(self, scale_first: bool) -> None:
        super().__init__()
        self.stem, self.squeeze, self.excite = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.out, self.scale_first = nn.Conv2d(8, 2, 1), scale_first

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        scale = self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return self.out(scale * x if self.scale_first else x * scale)


@pytest.mark.parametrize("scale_first", [False, True])
def test_a_layer_that_only_scales_is_no_second_producer(scale_first: bool) -> None:
    found = modularize(Scaled(scale_first), torch.randn(2, 3, 4, 4))
    assert [site.producers for site in found.plan.sites] == [("stem", "excite"), ("squeeze",)]
    assert [consumer.module for consumer in found.plan.sites[0].consumers] == ["squeeze", "out"]


def test_a_token_expanded_to_the_batch_can_be_gated_per_sample() -> None:
    class Query(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token, self.hidden, self.out = nn.Parameter(torch.randn(1, 1, 6)), nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            token = self.token.expand(x.shape[0], -1, -1)
            return self.out(self.hidden(token).relu()) + x.mean((2, 3)).unsqueeze(1)

    assert [site.name for site in modularize(Query(), torch.randn(2, 3, 4, 4)).plan.sites] == ["hidden"]


def test_tied_weights_are_sliced_together() -> None:
    """One tensor under two names: what one of its uses forbids holds for the other."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.first, self.second = nn.Linear(3, 6), nn.Linear(6, 8), nn.Linear(6, 8)
            self.second.weight = self.first.weight
            self.head = nn.Linear(8, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x.mean((2, 3)))
            return self.head(self.first(x).relu() + 1.0) + self.second(x).sum(1, keepdim=True)

    x = torch.randn(2, 3, 4, 4)
    for check in (False, True):
        found = modularize(Tied(), x, check=check)
        assert [site.name for site in found.plan.sites] == ["stem"]
        assert "sum over the axis" in refusals(found)["first"]


def test_a_backbone_without_a_site() -> None:
    backbone = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    with pytest.raises(InputError, match=r"Sequential has no channels(.|\n)*0 \(8 channels\):.*model output"):
        modularize(backbone, torch.randn(2, 3, 8, 8))
    with pytest.raises(InputError, match="no conv or linear layer"):
        modularize(nn.Sequential(nn.ReLU()), torch.randn(2, 3, 8, 8))


def test_examples_that_cannot_be_analysed() -> None:
    backbone = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3))
    with pytest.raises(InputError, match="batch of at least 2"):
        modularize(backbone, torch.randn(1, 3, 8, 8))
    with pytest.raises(InputError, match="cannot be exported for an input"):
        modularize(backbone, torch.randn(2, 4, 8, 8))
    with pytest.raises(InputError, match="policy must be"):
        modularize(backbone, torch.randn(2, 3, 8, 8), "double")  # type: ignore[arg-type]
