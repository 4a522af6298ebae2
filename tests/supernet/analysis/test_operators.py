"""One operator at a time: what can be sliced on both sides of it, and that slicing there equals gating."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from edgewright.errors import InputError
from edgewright.supernet.analysis.walk import analyse
from edgewright.supernet.plan import SupernetPlan
from edgewright.supernet.supernet import Supernet, modularize, summarise
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from tests.supernet.agreement import difference
from tests.supernet.analysis.nets import Attention, Net, X, conv
from tests.supernet.conftest import randomise

Units = dict[str, tuple[int, int]]  # site -> units, channels each


@dataclass(frozen=True)
class Case:
    """What lies between a convolution of the image and one that gives the output, and the sites that this has."""

    layers: Callable[[], list[nn.Module]]
    units: Units


class Apply(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def interpolated(mode: str) -> Case:
    def apply(x: Tensor) -> Tensor:
        return functional.interpolate(x, scale_factor=2, mode=mode)

    return Case(lambda: [conv(3, 8), Apply(apply), conv(8, 2)], {"0": (8, 1)})


def transposed(inputs: int, outputs: int, groups: int = 1) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, output_padding=1, groups=groups)


CASES = {
    "conv_transpose2d": Case(
        lambda: [conv(3, 8), nn.ReLU(), transposed(8, 6), nn.BatchNorm2d(6), nn.ReLU(), conv(6, 2)],
        {"0": (8, 1), "2": (6, 1)},
    ),
    "conv_transpose2d, two layers": Case(
        lambda: [conv(3, 8), transposed(8, 6), nn.ReLU(), transposed(6, 4), conv(4, 2)],
        {"0": (8, 1), "1": (6, 1), "3": (4, 1)},
    ),
    "conv_transpose2d in groups": Case(
        lambda: [conv(3, 8), nn.ReLU(), transposed(8, 12, 4), nn.ReLU(), conv(12, 2)], {"0": (4, 2)}
    ),
    "conv_transpose2d of each channel": Case(
        lambda: [conv(3, 8), nn.ReLU(), transposed(8, 8, 8), nn.ReLU(), conv(8, 2)], {"0": (8, 1)}
    ),
    "conv_transpose1d": Case(
        lambda: [conv(3, 8), nn.Flatten(2), nn.ConvTranspose1d(8, 6, 2, 2), nn.ReLU(), nn.Conv1d(6, 2, 1)],
        {"0": (8, 1), "2": (6, 1)},
    ),
    "pixel_shuffle": Case(
        lambda: [conv(3, 16), nn.PixelShuffle(2), nn.ReLU(), conv(4, 6), conv(6, 2)], {"0": (4, 4), "3": (6, 1)}
    ),
    "pixel_unshuffle": Case(
        lambda: [conv(3, 4), nn.PixelUnshuffle(2), nn.ReLU(), conv(16, 6), conv(6, 2)], {"0": (4, 1), "3": (6, 1)}
    ),
    "pixel_unshuffle, pixel_shuffle": Case(
        lambda: [conv(3, 4), nn.PixelUnshuffle(2), nn.PixelShuffle(2), conv(4, 2)], {"0": (4, 1)}
    ),
    **{f"interpolate, {mode}": interpolated(mode) for mode in ("nearest", "nearest-exact", "bilinear", "bicubic")},
    "interpolate, area": interpolated("area"),
    "prelu": Case(lambda: [conv(3, 8), nn.PReLU(8), conv(8, 2)], {"0": (8, 1)}),
    "prelu, one slope": Case(lambda: [conv(3, 8), nn.PReLU(), conv(8, 2)], {"0": (8, 1)}),
    "group_norm": Case(
        lambda: [conv(3, 12), nn.GroupNorm(4, 12), nn.ReLU(), conv(12, 5), conv(5, 2)], {"0": (4, 3), "3": (5, 1)}
    ),
    "group_norm, without weights": Case(
        lambda: [conv(3, 12), nn.GroupNorm(3, 12, affine=False), conv(12, 2)], {"0": (3, 4)}
    ),
    "group_norm, groups of one": Case(lambda: [conv(3, 6), nn.GroupNorm(6, 6), conv(6, 2)], {"0": (6, 1)}),
    "group_norm of finer groups": Case(
        lambda: [conv(3, 12), nn.GroupNorm(2, 12), nn.GroupNorm(4, 12), conv(12, 2)], {"0": (2, 6)}
    ),
    "instance_norm": Case(
        lambda: [conv(3, 6), nn.InstanceNorm2d(6, affine=True), nn.InstanceNorm2d(6), conv(6, 2)], {"0": (6, 1)}
    ),
    "rms_norm": Case(
        lambda: [conv(3, 6), conv(6, 5), nn.RMSNorm([4, 4]), conv(5, 2)], {"0": (6, 1), "1": (5, 1)}
    ),
    "weight_norm": Case(
        lambda: [
            parametrizations.weight_norm(conv(3, 8)),
            nn.ReLU(),
            parametrizations.weight_norm(conv(8, 8, 4)),
            nn.ReLU(),
            parametrizations.weight_norm(conv(8, 6)),
            nn.Flatten(2),
            nn.Linear(16, 4),
            conv1d(6, 2),
        ],
        {"0": (4, 2), "4": (6, 1)},
    ),
    "weight_norm of transposed": Case(
        lambda: [conv(3, 8), parametrizations.weight_norm(transposed(8, 6), dim=1), conv(6, 2)],
        {"0": (8, 1), "1": (6, 1)},
    ),
    "spectral_norm": Case(
        lambda: [parametrizations.spectral_norm(conv(3, 8)), nn.ReLU(), parametrizations.spectral_norm(conv(8, 2))],
        {"0": (8, 1)},
    ),
}  # fmt: skip


def conv1d(inputs: int, outputs: int) -> nn.Conv1d:
    return nn.Conv1d(inputs, outputs, 1)


def built(layers: list[nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return randomise(nn.Sequential(*layers), seed=1).eval()


def units(plan: SupernetPlan) -> Units:
    return {site.name: (site.width, site.block) for site in plan.sites}


def reasons(plan: SupernetPlan) -> dict[str, str]:
    return {refused.producers[0]: "; ".join(refused.reasons) for refused in plan.refused}


def require_agreement(supernet: Supernet) -> None:
    """Gated and cut out compute the same in double precision, and a saved plan does too."""
    plan = SupernetPlan.from_json(supernet.plan.to_json())
    assert plan == supernet.plan
    for seed in range(2):
        assert difference(supernet.backbone.double().eval(), plan, X.double(), seed) <= 1e-10


@pytest.mark.parametrize("name", CASES)
def test_gated_equals_sliced(name: str) -> None:
    backbone = built(CASES[name].layers())
    plan = analyse(backbone, X)
    assert units(plan) == CASES[name].units
    checked = modularize(backbone, X)
    assert checked.plan == plan, "the self-check agrees"
    require_agreement(checked)


def after(function: Callable[[Tensor], Tensor], width: int = 8) -> SupernetPlan:
    """Of a model that applies this between its second layer, which makes `width` channels, and its third."""

    def forward(net: Net, x: Tensor) -> Tensor:
        return net.out(net.third(function(net.second(net.first(x)))).relu())

    net = Net(forward, first=conv(3, 6), second=conv(6, width), third=conv(width, 5), out=conv(5, 2))
    return modularize(net, X).plan


@pytest.mark.parametrize(
    ("operator", "function"),
    [
        ("sort", lambda x: x.sort(1).values),
        ("flip", lambda x: x.flip(1)),
        ("cumprod", lambda x: x.cumprod(1)),
        ("channel_shuffle", lambda x: functional.channel_shuffle(x, 4)),
        ("fft_fft2", lambda x: torch.fft.fft2(x).abs()),
    ],
)
def test_an_unknown_operator_costs_its_own_axes_only(operator: str, function: Callable[[Tensor], Tensor]) -> None:
    plan = after(function)
    assert units(plan) == {"first": (6, 1), "third": (5, 1)}
    assert f"no rule for {operator}" in reasons(plan)["second"]


def test_an_operator_that_may_mix_samples_is_named_where_they_are_needed() -> None:
    plan = after(lambda x: x.flip(0))
    assert units(plan) == {"first": (6, 1)}
    assert "the batch axis is lost before a consumer (flip)" in reasons(plan)["third"]


def test_what_no_sample_goes_into_cannot_be_gated_per_sample() -> None:
    """A bias that a small network makes of positions."""

    def forward(net: Net, x: Tensor) -> Tensor:
        return net.out(net.stem(x)) + net.second(net.first(net.places).relu()).mean()

    net = Net(forward, stem=conv(3, 6), out=conv(6, 2), first=nn.Linear(2, 8), second=nn.Linear(8, 4))
    net.register_buffer("places", torch.randn(5, 2))
    plan = modularize(net, X).plan
    assert units(plan) == {"stem": (6, 1)}
    assert "its consumer's input is computed from no sample" in reasons(plan)["first"]


def test_an_axis_that_a_reshape_cuts_leaves_those_before_it() -> None:
    plan = after(lambda x: x.reshape(len(x), 4, 24).reshape(len(x), 6, 4, 4), width=6)
    assert units(plan) == {"first": (6, 1), "third": (5, 1)}


def test_one_group_is_the_whole_axis() -> None:
    plan = analyse(built([conv(3, 8), nn.GroupNorm(1, 8), conv(8, 6), conv(6, 2)]), X)
    assert units(plan) == {"2": (6, 1)} and "normalised over the axis (group_norm)" in reasons(plan)["0"]


def test_channels_that_are_normalised_over_stay() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        return net.out(net.norm(net.stem(x).permute(0, 2, 3, 1)))

    net = Net(forward, stem=conv(3, 8), norm=nn.RMSNorm(8), out=nn.Linear(8, 2))
    assert "normalised over the axis (rms_norm)" in reasons(analyse(net, X))["stem"]


def test_a_subnet_states_its_sizes() -> None:
    layers = [conv(3, 12), nn.GroupNorm(4, 12), transposed(12, 8, 4), nn.PReLU(8), conv(8, 2)]
    supernet = modularize(built(layers), X)
    norm, up, slope = list(supernet.extract(supernet.space.smallest()))[1:4]
    assert (norm.num_groups, norm.num_channels) == (1, 3)
    assert (up.in_channels, up.out_channels, up.groups) == (3, 2, 1)
    assert slope.num_parameters == 2


def test_costs_of_a_transposed_convolution() -> None:
    """Every input is multiplied with every weight that reads it."""
    plan = analyse(built([conv(3, 8), transposed(8, 6), transposed(6, 4, 2), conv(4, 2)]), X)
    costs = {layer.name: (layer.in_width, layer.out_width, layer.macs) for layer in plan.layers}
    assert costs["1"] == (8, 6, 8 * 6 * 9 * 4 * 4) and costs["2"] == (3, 4, 6 * 2 * 9 * 8 * 8)


def test_a_subnet_has_ordinary_weights() -> None:
    normed = parametrizations.weight_norm(conv(3, 8))
    supernet = modularize(built([normed, nn.ReLU(), conv(8, 2)]), X)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    subnet = supernet.extract(supernet.space.smallest())
    assert type(subnet[0]) is nn.Conv2d and subnet[0].weight.shape == (1, 3, 1, 1)
    assert sorted(dict(subnet.named_parameters())) == ["0.bias", "0.weight", "2.bias", "2.weight"]
    assert all(torch.equal(before[name], tensor) for name, tensor in supernet.state_dict().items())
    assert normed.weight.shape == (8, 3, 1, 1), "the supernet's own layer still computes its weight"
    assert summarise(supernet).parameter_share == pytest.approx(1 - 2 / (8 + 24 + 8 + 16 + 2))


def test_weights_that_cannot_be_copied_are_refused_in_a_sentence() -> None:
    with pytest.warns(FutureWarning, match="deprecated"):
        old = nn.utils.weight_norm(conv(3, 8))
    with pytest.raises(InputError, match=r"cannot be copied.*use torch.nn.utils.parametrizations.weight_norm"):
        modularize(nn.Sequential(old, nn.ReLU(), conv(8, 6), nn.ReLU(), conv(6, 2)), X)


class Einsum(Attention):
    """The products written as letters."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)  # (B, N, C)
        B, N, _ = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.einsum("b h i d, b h j d -> b h i j", q, k).softmax(-1)
        x = torch.einsum("...ij,...jd->...id", weights, v)  # (B, heads, N, d)
        return self.proj(x.transpose(1, 2).reshape(B, N, self.attn_dim))


class NormedHeads(Attention):
    """Query and key of every head normalised, as large models do."""

    def __init__(self) -> None:
        super().__init__()
        self.q_norm, self.k_norm = nn.RMSNorm(self.head_dim), nn.RMSNorm(self.head_dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)  # (B, N, C)
        B, N, _ = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        x = functional.scaled_dot_product_attention(self.q_norm(q), self.k_norm(k), v)
        return self.proj(x.transpose(1, 2).reshape(B, N, self.attn_dim))


class LookedUp(Attention):
    """A bias per head that is picked from a table by a product with ones and zeros, in a shape that is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.bias_shape = nn.Parameter(torch.randn(self.num_heads, 31)), (self.num_heads, 16, 16)
        self.register_buffer("picked", functional.one_hot(self.index, 31).float())

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)  # (B, N, C)
        B, N, _ = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        bias = torch.einsum("ht,ijt->hij", self.table, self.picked).flatten().view(self.bias_shape)
        x = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.proj(x.transpose(1, 2).reshape(B, N, self.attn_dim))


@pytest.mark.parametrize("make", [Attention, Einsum, NormedHeads, LookedUp])
def test_heads_of_an_attention(make: Callable[[], nn.Module]) -> None:
    supernet = modularize(randomise(make(), seed=1).eval(), X)
    assert units(supernet.plan) == {"stem": (12, 1), "qkv": (4, 5)}
    require_agreement(supernet)


class GroupedQueries(nn.Module):
    """Two heads of the query to each head of key and value."""

    def __init__(self) -> None:
        super().__init__()
        self.n_queries, self.n_keys = 6, 3
        self.stem = conv(3, 8)
        self.q, self.kv, self.proj = nn.Linear(8, 6 * 4), nn.Linear(8, 2 * 3 * 4), nn.Linear(6 * 4, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)  # (B, N, C)
        q = self.q(x).reshape(len(x), -1, self.n_queries, 4).transpose(1, 2)
        k, v = self.kv(x).reshape(len(x), -1, 2, self.n_keys, 4).permute(2, 0, 3, 1, 4).unbind(0)
        x = functional.scaled_dot_product_attention(q, k, v, enable_gqa=True)
        return self.proj(x.transpose(1, 2).flatten(2))


def test_a_head_that_several_queries_share_takes_them_along() -> None:
    supernet = modularize(randomise(GroupedQueries(), seed=1).eval(), X, "coupled")
    heads = next(site for site in supernet.plan.sites if site.name == "q")
    assert (heads.width, heads.block, heads.producers) == (3, 8, ("q", "kv"))
    small = supernet.extract(supernet.space.smallest())
    assert (small.n_queries, small.n_keys) == (2, 1)
    require_agreement(supernet)


EINSUMS: dict[str, tuple[Callable[[Tensor], Tensor], bool]] = {
    "transposes": (lambda x: torch.einsum("nchw->nhwc", x).permute(0, 3, 1, 2), True),
    "names no result": (lambda x: torch.einsum("nchw", x).permute(2, 0, 1, 3), True),  # alphabetical: chnw
    "leaves axes unnamed": (lambda x: torch.einsum("nc...->n...c", x).permute(0, 3, 1, 2), True),
    "sums": (lambda x: x + torch.einsum("nchw->nhw", x).unsqueeze(1), False),
    "takes a diagonal": (lambda x: torch.einsum("nchh->nch", x).unsqueeze(-1), False),
}


@pytest.mark.parametrize("name", EINSUMS)
def test_an_einsum_that(name: str) -> None:
    function, sliceable = EINSUMS[name]

    def forward(net: Net, x: Tensor) -> Tensor:
        return net.third(function(net.second(net.first(x))))

    net = Net(forward, first=conv(3, 6), second=conv(6, 8), third=conv(8, 2))
    plan = modularize(net, X).plan
    assert units(plan) == {"first": (6, 1)} | ({"second": (8, 1)} if sliceable else {})
