"""Sites that are only a part of an axis: concatenations, splits, shuffles, flattened maps, heads, groups."""

from __future__ import annotations

import pytest
import torch
from edgewright.errors import InputError
from edgewright.gates import Layer
from edgewright.supernet.plan import SupernetPlan, TensorSlice
from edgewright.supernet.supernet import modularize, subnet_macs
from torch import Tensor, nn

from tests.supernet.analysis.nets import Attention, Net, X, check_subnets, conv, places


def test_concatenated_channels_keep_their_offsets() -> None:
    """A dense block: every layer's channels are read, at an offset, by all that follow."""

    def forward(net: Net, x: Tensor) -> Tensor:
        a = net.a(x)
        b = net.b(net.norm(a).relu())
        return net.out(net.last(torch.cat([a, b], 1)).relu())

    layers = {"a": conv(3, 8), "norm": nn.BatchNorm2d(8), "b": conv(8, 4), "last": nn.BatchNorm2d(12)}
    supernet = modularize(Net(forward, **layers, out=conv(12, 5)), X)
    a, b = supernet.plan.sites
    assert (a.name, b.name) == ("a", "b")
    assert places(a, "last.weight") == [(0, 0, 1)] and places(b, "last.weight") == [(0, 8, 1)]
    assert places(b, "out.weight") == [(1, 8, 1)]
    assert [(c.module, c.offset) for c in a.consumers] == [("b", 0), ("out", 0)]
    check_subnets(supernet)


def test_a_layer_that_reads_two_sites_has_an_entry_for_each() -> None:
    supernet = modularize(
        Net(lambda net, x: net.out(torch.cat([net.a(x), net.b(x)], 1)), a=conv(3, 8), b=conv(3, 4), out=conv(12, 5)), X
    )
    out = [layer for layer in supernet.plan.layers if layer.name == "out"]
    assert out == [Layer("out", "a", None, 8, 5, 8 * 5 * 16), Layer("out", "b", None, 4, 5, 4 * 5 * 16)]
    gates = supernet.space.from_counts([2, 3])
    assert subnet_macs(supernet.plan, gates) == (3 * 2 + 3 * 3 + (2 + 3) * 5) * 16


def test_one_operand_that_must_stay_whole_does_not_hold_the_other() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        return net.out(torch.cat([net.norm(net.a(x)), net.b(x)], 1))

    supernet = modularize(Net(forward, a=conv(3, 8), norm=nn.GroupNorm(1, 8), b=conv(3, 4), out=conv(12, 5)), X)
    assert [site.name for site in supernet.plan.sites] == ["b"]
    check_subnets(supernet)


@pytest.mark.parametrize("first", [True, False])
def test_the_channel_beside_a_site_may_be_nobodys(first: bool) -> None:
    """A single channel is never gated, before or behind the site it is concatenated with."""

    def forward(net: Net, x: Tensor) -> Tensor:
        both = [net.lone(x), net.wide(x)]
        return net.out(torch.cat(both if first else both[::-1], 1))

    supernet = modularize(Net(forward, lone=conv(3, 1), wide=conv(3, 4), out=conv(5, 2)), X)
    assert [site.name for site in supernet.plan.sites] == ["wide"]
    check_subnets(supernet)


def test_a_map_and_what_is_made_of_it_side_by_side() -> None:
    """A ghost module: the cheap half has the same channels, so one site lies twice in the consumer's input."""

    def forward(net: Net, x: Tensor) -> Tensor:
        x = net.primary(x)
        return net.out(torch.cat([x, net.cheap(x).relu()], 1))

    supernet = modularize(Net(forward, primary=conv(3, 6), cheap=conv(6, 6, groups=6), out=conv(12, 5)), X)
    (site,) = supernet.plan.sites
    assert places(site, "out.weight") == [(1, 0, 1), (1, 6, 1)]
    check_subnets(supernet)


def test_a_layer_whose_channels_go_two_ways_is_two_sites() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        x = net.stem(x)
        return net.left(x[:, :5]) + net.right(x[:, 5:])

    supernet = modularize(Net(forward, stem=conv(3, 8), left=conv(5, 4), right=conv(3, 4)), X, check=False)
    assert [(site.name, site.width) for site in supernet.plan.sites] == [("stem[0:5]", 5), ("stem[5:8]", 3)]
    checked = modularize(supernet.backbone, X)
    assert [site.name for site in checked.plan.sites] == ["stem[5:8]"], "the 5 is written into the code"
    check_subnets(checked)


class Mixed(nn.Module):
    """Channels split by sizes that the module keeps, as in MixNet."""

    def __init__(self) -> None:
        super().__init__()
        self.splits = [5, 3]
        self.stem, self.left, self.right = conv(3, 8), conv(5, 6), conv(3, 4)
        self.out = conv(10, 2)

    def forward(self, x: Tensor) -> Tensor:
        left, right = torch.split(self.stem(x), self.splits, 1)
        return self.out(torch.cat([self.left(left), self.right(right)], 1))


def test_sizes_of_a_split_follow_when_the_module_keeps_them() -> None:
    supernet = modularize(Mixed(), X)
    assert [site.name for site in supernet.plan.sites] == ["stem[0:5]", "stem[5:8]", "left", "right"]
    check_subnets(supernet)
    assert supernet.extract(supernet.space.from_counts([2, 1, 6, 4])).splits == [2, 1]
    assert supernet.backbone.splits == [5, 3]


def test_halves_are_sliced_alike() -> None:
    """`chunk` gives equal parts of whatever is left; a gated linear unit multiplies them."""

    def forward(net: Net, x: Tensor) -> Tensor:
        value, gate = net.both(x).chunk(2, 1)
        return net.out(value * gate.sigmoid())

    supernet = modularize(Net(forward, both=conv(3, 12), out=conv(6, 2)), X)
    (site,) = supernet.plan.sites
    assert site.width == 6 and places(site, "both.weight") == [(0, 0, 1), (0, 6, 1)]
    check_subnets(supernet)


def test_shuffled_channels() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        x = torch.cat([net.a(x), net.b(x)], 1)
        B, C, H, W = x.shape
        x = x.view(B, 2, C // 2, H, W).transpose(1, 2).reshape(B, C, H, W)
        return net.out(x)

    net = Net(forward, a=conv(3, 6), b=conv(3, 6), out=conv(12, 2))
    (site,) = modularize(net, X, "coupled").plan.sites
    assert site.producers == ("a", "b") and places(site, "out.weight") == [(1, 0, 2)]
    check_subnets(modularize(net, X, "coupled"))
    with pytest.raises(InputError, match="several producers"):
        modularize(net, X)


def test_a_flattened_map() -> None:
    layers = nn.Sequential(conv(3, 8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 6))
    supernet = modularize(layers, X)
    (site,) = supernet.plan.sites
    assert (site.width, site.block) == (8, 1) and places(site, "3.weight") == [(1, 0, 16)]
    check_subnets(supernet)


@pytest.mark.parametrize(("inputs", "outputs", "groups"), [(8, 16, 4), (8, 16, 8), (16, 8, 4)])
def test_a_grouped_convolution_that_changes_the_width(inputs: int, outputs: int, groups: int) -> None:
    layers = nn.Sequential(conv(3, inputs), nn.ReLU(), conv(inputs, outputs, groups), nn.ReLU(), conv(outputs, 2))
    supernet = modularize(layers, X)
    (site,) = supernet.plan.sites
    assert (site.width, site.block) == (groups, inputs // groups)
    assert places(site, "2.weight") == [(0, 0, outputs // groups)]
    check_subnets(supernet)
    assert supernet.extract(supernet.space.smallest())[2].groups == 1


def test_a_concatenation_across_groups_stays_whole() -> None:
    """8 channels in groups of 4, of which one layer makes 6 and another 2: no unit is one layer's alone."""

    def forward(net: Net, x: Tensor) -> Tensor:
        return net.out(net.grouped(torch.cat([net.a(x), net.b(x)], 1)))

    with pytest.raises(InputError, match="cut across units of 4 channels"):
        modularize(Net(forward, a=conv(3, 6), b=conv(3, 2), grouped=conv(8, 8, 2), out=conv(8, 2)), X)


def test_heads_are_units() -> None:
    supernet = modularize(Attention(), X)
    heads = next(site for site in supernet.plan.sites if site.name == "qkv")
    assert (heads.width, heads.block) == (4, 5)
    assert places(heads, "qkv.weight") == [(0, 0, 5), (0, 20, 5), (0, 40, 5)]
    assert places(heads, "bias_table") == [(1, 0, 1)] and places(heads, "proj.weight") == [(1, 0, 5)]
    check_subnets(supernet)
    small = supernet.extract(supernet.space.smallest())
    assert (small.num_heads, small.head_dim, small.attn_dim) == (1, 5, 5)


def test_heads_whose_number_is_written_into_the_code_stay() -> None:
    class Fixed(Attention):
        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x).flatten(2).transpose(1, 2)
            q, k, v = self.qkv(x).reshape(-1, 16, 3, 4, 5).permute(2, 0, 3, 1, 4).unbind(0)
            x = nn.functional.scaled_dot_product_attention(q, k, v)
            return self.proj(x.transpose(1, 2).flatten(2))

    supernet = modularize(Fixed(), X)
    assert "qkv" not in [site.name for site in supernet.plan.sites]
    assert any("self-check" in reason for refused in supernet.plan.refused for reason in refused.reasons)


def test_whole_axes_only() -> None:
    """What a template cannot cut is left ungated on demand."""
    with pytest.raises(InputError, match="only a part of an axis"):
        modularize(Mixed(), X, whole_axes=True)
    assert [site.name for site in modularize(Attention(), X, whole_axes=True).plan.sites] == ["stem"]


def test_a_plan_of_schema_1_is_read() -> None:
    """Where every slice was the whole of an axis, in blocks of the site."""
    layers = nn.Sequential(conv(3, 8), conv(8, 8, 2), conv(8, 2))
    plan = modularize(layers, X).plan
    text = plan.to_json().replace('"schema": 2', '"schema": 1').replace('"sizes": []', '"unused": 0')
    for new in (',\n     "offset": 0', ',\n     "block": 4'):
        assert text.count(new) > 3
        text = text.replace(new, "")
    assert SupernetPlan.from_json(text) == plan
    assert plan.sites[0].slices[0] == TensorSlice("0.bias", 0, 0, 4)
