"""Two planners, one plan; and what cannot be sliced is refused with the site's name."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import timm
import torch
from edgewright.converters.errors import ConversionError
from edgewright.converters.flatbuffer import Graph
from edgewright.converters.probe_plan import plan_by_probes, probe_counts
from edgewright.converters.seeds import call_paths, find_producers
from edgewright.converters.slice_plan import Run, SlicePlan, require_agreement, sites_of
from edgewright.converters.torch_to_tflite import convert
from edgewright.converters.union_plan import plan_by_union
from edgewright.device_agent.template import TemplateSite
from torch import Tensor, nn

Built = Any  # of conftest: a supernet, its template, and a converted subnet


def union_plan(case: Built, graph: Graph) -> SlicePlan:
    sites = case.supernet.sites
    return plan_by_union(graph, sites, find_producers(graph, case.supernet.module, sites))


@pytest.mark.parametrize("name", ["resnet_built", "mixed_built"])
def test_both_planners_find_the_same(name: str, request: pytest.FixtureRequest) -> None:
    case: Built = request.getfixturevalue(name)
    graph, sites = case.graph(), case.supernet.sites
    union, counts = union_plan(case, graph), probe_counts(sites)
    probe = plan_by_probes(graph, [Graph(case.probe_content)])
    require_agreement(graph, union, probe, sites, counts)
    assert {name for runs in union.axes.values() for name in sites_of(runs)} == {site.name for site in sites}
    assert [len(vars(union)[kind]) for kind in vars(union)] == [len(vars(probe)[kind]) for kind in vars(probe)]


def test_a_site_takes_its_weights_biases_consumers_and_activations(resnet_built: Built) -> None:
    graph = resnet_built.graph()
    plan, runs = union_plan(resnet_built, graph), (Run("layer2.1.conv1", 1),)
    axes = [place for place, found in plan.axes.items() if found == runs]
    shapes = sorted((graph.shape(tensor), axis) for tensor, axis in axes)
    assert shapes == [((1, 5, 5, 16), 3), ((16,), 0), ((16, 3, 3, 16), 0), ((16, 3, 3, 16), 3)]


def test_the_stem_of_a_one_channel_image_changes_an_option(resnet_built: Built) -> None:
    graph = resnet_built.graph()
    ((operator, field), (run,)) = next(iter(union_plan(resnet_built, graph).options.items()))
    assert (graph.operators[operator].name, field, run) == ("DEPTHWISE_CONV_2D", "depthMultiplier", ("conv1", 1))


@pytest.mark.parametrize("change", ["missing", "wrong", "added"])
def test_a_tampered_plan_is_refused_with_the_place(resnet_built: Built, change: str) -> None:
    graph, sites = resnet_built.graph(), resnet_built.supernet.sites
    plan, seen = union_plan(resnet_built, graph), plan_by_probes(graph, [Graph(resnet_built.probe_content)])
    axes = dict(plan.axes)
    place = next(place for place, runs in axes.items() if runs == (Run("layer3.0.conv1", 1),))
    if change == "missing":
        del axes[place]
    else:
        axes[place if change == "wrong" else (graph.operators[0].inputs[0], 0)] = (Run("layer3.1.conv1", 1),)
    said = {
        "missing": r"axis \d of tensor .* went from 24 to \d+ in a pruned subnet, but belongs to no site",
        "wrong": r"site 'layer3.1.conv1': .* disagree at axis \d of tensor .*24 -> 2\d, in converted .* 24 -> 2",
        "added": r"site 'layer3.1.conv1': .* in converted subnets it does not change; leave this site ungated",
    }
    with pytest.raises(ConversionError, match=said[change]):
        require_agreement(graph, replace(plan, axes=axes), seen, sites, probe_counts(sites))


def test_a_probe_that_was_not_pruned_disagrees(resnet_built: Built) -> None:
    graph, sites = resnet_built.graph(), resnet_built.supernet.sites
    unpruned = plan_by_probes(graph, [resnet_built.graph()])
    with pytest.raises(ConversionError, match=r"site '\S+': the two slice plans disagree"):
        require_agreement(graph, union_plan(resnet_built, graph), unpruned, sites, probe_counts(sites))


def test_a_probe_with_another_width_is_refused(resnet_built: Built) -> None:
    graph, sites = resnet_built.graph(), resnet_built.supernet.sites
    (counts,) = probe_counts(sites)
    seen = plan_by_probes(graph, [Graph(resnet_built.probe_content)])
    with pytest.raises(ConversionError, match=r"by the operators it goes 8 -> 3, in converted subnets it goes 8 -> \d"):
        require_agreement(
            graph, union_plan(resnet_built, graph), seen, sites, [{**counts, "layer1.0.conv1": 3}]
        )


def test_a_probe_of_another_network_is_refused(resnet_built: Built, mixed_built: Built) -> None:
    with pytest.raises(ConversionError, match="built a pruned subnet differently from the supernet, first at operator"):
        plan_by_probes(resnet_built.graph(), [mixed_built.graph()])


def test_probes_tell_all_sites_apart_with_as_few_conversions_as_possible() -> None:
    alike = [TemplateSite(str(i), 8) for i in range(6)]
    assert len(probe_counts(alike)) == 1
    crowd = [TemplateSite(str(i), 8) for i in range(7)] + [TemplateSite("blocks", 2, 4)]
    first, second = probe_counts(crowd)
    blocks = {site.name: site.block for site in crowd}
    codes = {(first[name] * blocks[name], second[name] * blocks[name]) for name in blocks}
    assert len(codes) == len(crowd) and (8, 8) not in codes
    with pytest.raises(ConversionError, match="site 'thin' cannot be told apart"):
        probe_counts([TemplateSite("thin", 2)])


class Stubborn(nn.Module):
    """Channels of every site but `free` and `alike` reach something that cannot be sliced."""

    sites = ("joined", "flattened", "normalised", "reduced", "grouped", "across", "rotated")

    def __init__(self) -> None:
        super().__init__()
        for index, name in enumerate(self.sites):
            setattr(self, name, nn.Conv2d(3, 8 + 4 * index, 3))
        self.after_joined = nn.Conv2d(11, 2, 1)
        self.after_flattened = nn.Linear(12 * 36, 2)
        self.after_grouped = nn.Sequential(nn.Conv2d(24, 24, 3, groups=6), nn.Conv2d(24, 2, 1))
        self.after_rotated = nn.Conv2d(32, 2, 1)
        self.over_channels = nn.Conv2d(1, 2, 3)
        self.free, self.after_free = nn.Conv2d(3, 32, 3, bias=False), nn.Conv2d(32, 2, 1)
        self.alike, self.after_alike = nn.Conv2d(3, 32, 3, bias=False), nn.Conv2d(32, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        joined = self.after_joined(torch.cat([self.joined(x), x[:, :, 1:-1, 1:-1]], 1))
        across = self.over_channels(self.across(x).mean(3, keepdim=True).permute(0, 3, 1, 2))
        sums = [
            joined,
            self.normalised(x).softmax(1),
            self.reduced(x).mean(1),
            self.after_grouped(self.grouped(x)),
            self.after_rotated(torch.cat([self.rotated(x)[:, 1:], self.rotated(x)[:, :1]], 1)),
            across,
            self.after_free(self.free(x)),
            self.after_alike(self.alike(x)),
        ]
        return self.after_flattened(self.flattened(x).flatten(1)) + sum(item.sum() for item in sums)


@pytest.fixture(scope="module")
def stubborn() -> tuple[nn.Module, Graph]:
    torch.manual_seed(0)
    module = Stubborn().eval()
    return module, Graph(convert(module, torch.randn(1, 3, 8, 8)))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("rotated", r"a single channel is taken out of them"),
        ("normalised", r"SOFTMAX \(operator \d+\), which normalises over it"),
        ("reduced", r"(MEAN|SUM) \(operator \d+\), which reduces over it"),
        ("grouped", r"the groups that it reaches have 4; use a multiple of 4"),
        ("across", r"which works across it"),
    ],
)
def test_what_cannot_be_sliced_is_refused_with_the_site(
    stubborn: tuple[nn.Module, Graph], name: str, reason: str
) -> None:
    module, graph = stubborn
    site = TemplateSite(name, module.get_submodule(name).out_channels)
    with pytest.raises(ConversionError, match=rf"site '{name}' cannot be sliced: .*{reason}"):
        plan_by_union(graph, [site], find_producers(graph, module, [site]))


def test_what_can_be_sliced_beside_it_is_not(stubborn: tuple[nn.Module, Graph]) -> None:
    module, graph = stubborn
    for site in (TemplateSite("free", 32), TemplateSite("grouped", 6, 4)):
        plan = plan_by_union(graph, [site], find_producers(graph, module, [site]))
        assert set(plan.axes.values()) == {(Run(site.name, site.block),)}


def test_a_site_may_be_a_part_of_an_axis(stubborn: tuple[nn.Module, Graph]) -> None:
    """Concatenated with the image's three channels; and flattened with 36 places of an image each."""
    module, graph = stubborn
    for site, consumer, runs in (
        (TemplateSite("joined", 8), "after_joined", (Run("joined", 1), Run(None, 3))),
        (TemplateSite("flattened", 12), "after_flattened", (Run("flattened", 36),)),
    ):
        plan = plan_by_union(graph, [site], find_producers(graph, module, [site]))
        ((where,),) = find_producers(graph, module, [TemplateSite(consumer, 2)]).values()
        weight = graph.operators[where].inputs[1]
        assert plan.axes[weight, len(graph.shape(weight)) - 1] == runs


def test_constants_that_the_converter_merged_tie_no_sites(stubborn: tuple[nn.Module, Graph]) -> None:
    """Convolutions without bias get one of zeros, and all of a width share it."""
    module, graph = stubborn
    sites = [TemplateSite("free", 32), TemplateSite("alike", 32)]
    plan = plan_by_union(graph, sites, find_producers(graph, module, sites))
    for site in sites:
        runs = (Run(site.name, 1),)
        shapes = sorted((graph.shape(tensor), axis) for (tensor, axis), found in plan.axes.items() if found == runs)
        assert shapes == [((1, 6, 6, 32), 3), ((2, 1, 1, 32), 3), ((32,), 0), ((32, 3, 3, 3), 0)]


def test_a_site_of_another_width_or_twice_the_same_is_refused(stubborn: tuple[nn.Module, Graph]) -> None:
    module, graph = stubborn
    site = TemplateSite("free", 16)
    producers = find_producers(graph, module, [site])
    with pytest.raises(ConversionError, match="site 'free': its producer has 32 channels, not 16 modules of 1"):
        plan_by_union(graph, [site], producers)
    twins = [TemplateSite("free", 32), TemplateSite("twin", 16, 2)]
    with pytest.raises(ConversionError, match="sites 'free' and 'twin' share their channels"):
        plan_by_union(graph, twins, {"free": producers["free"], "twin": producers["free"]})


def test_a_producer_that_the_converter_dropped_is_named() -> None:
    torch.manual_seed(0)
    module = timm.create_model(
        "resnet18", in_chans=1, num_classes=2, channels=(4, 4, 4, 4)
    ).eval()  # zero-init branches
    graph = Graph(convert(module, torch.randn(1, 1, 32, 32)))
    with pytest.raises(ConversionError, match="site 'layer1.0.conv1': no operator .* holds its weights; a branch"):
        find_producers(graph, module, [TemplateSite("layer1.0.conv1", 4)])


def test_a_site_that_is_no_layer_is_named(resnet_built: Built) -> None:
    for name in ("layer1", "layer9.conv1", "bn1"):
        with pytest.raises(ConversionError, match=f"site '{name}'"):
            find_producers(resnet_built.graph(), resnet_built.supernet.module, [TemplateSite(name, 8)])


def test_equal_filters_are_told_apart_by_name(mixed_built: Built) -> None:
    module = copy.deepcopy(mixed_built.supernet.module)
    module.second.load_state_dict(module.first.state_dict())
    module.first.depthwise.weight.data *= 2
    graph = Graph(convert(module, mixed_built.supernet.example))
    found = find_producers(graph, module, [TemplateSite("first.expand", 20), TemplateSite("second.expand", 20)])
    assert found["first.expand"] < found["second.expand"]


def test_call_paths_are_what_the_converter_writes(resnet_built: Built) -> None:
    graph, supernet = resnet_built.graph(), resnet_built.supernet
    paths = call_paths(supernet.module, supernet.example)
    for site, (operator,) in find_producers(graph, supernet.module, supernet.sites).items():
        assert paths[site][0] in graph.name(graph.operators[operator].outputs[0])
