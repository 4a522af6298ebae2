"""A layer that is called several times: one site in torch, an operator per call in the converted model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from edgewright.converters.build import build_template, random_masks
from edgewright.converters.errors import ConversionError
from edgewright.converters.flatbuffer import Graph
from edgewright.converters.parity import tflite_outputs
from edgewright.converters.precision import Precision
from edgewright.converters.quantized_template import quantize_template
from edgewright.converters.seeds import call_paths, find_producers
from edgewright.converters.slice_plan import Run
from edgewright.converters.torch_to_tflite import convert
from edgewright.converters.union_plan import plan_by_union
from edgewright.device_agent.template import Template, TemplateSite
from edgewright.domains.detection.detector import build_detector
from edgewright.supernet.supernet import Supernet, modularize
from torch import Tensor, nn

from tests.converters.conftest import randomised
from tests.marks import sweep

IMAGE = (3, 64, 64)


class TwoScales(nn.Module):
    """One convolution for an image and its half, each with a normalisation and a head of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.ModuleList([nn.Conv2d(3, 12, 3, bias=False)])
        self.norms = nn.ModuleList(nn.BatchNorm2d(12) for _ in range(2))
        self.heads = nn.ModuleList(nn.Conv2d(12, 4 + i, 1) for i in range(2))

    def forward(self, x: Tensor) -> Tensor:
        scales = zip((x, nn.functional.avg_pool2d(x, 2)), self.norms, self.heads, strict=True)
        return torch.cat([head(norm(self.shared[0](x)).relu()).mean((2, 3)) for x, norm, head in scales], 1)


def detector(strides: tuple[int, ...]) -> nn.Module:
    channels = {"channels": [8, 12, 16, 20], "zero_init_last": False}
    return build_detector("resnet18", 4, strides, width=16, depth=2, arguments=channels)


MODULES: dict[str, Callable[[], nn.Module]] = {
    "two scales": TwoScales,
    "detector of two levels": lambda: detector((8, 16)),
    "detector of three levels": lambda: detector((8, 16, 32)),
}
# Untrained, all normalisations are alike, and the converter merges what it folded them into.
CASES = [
    sweep("two scales", "untrained"),
    ("two scales", "trained"),
    sweep("detector of two levels", "untrained"),
    sweep("detector of three levels", "trained"),
]


def made(make: Callable[[], nn.Module], trained: bool) -> nn.Module:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    module = make().eval()
    return randomised(module) if trained else module


def converted(module: nn.Module, image: tuple[int, ...] = IMAGE) -> Graph:
    return Graph(convert(module, torch.zeros(1, *image)))


def build(supernet: Supernet) -> Template:
    sites = [TemplateSite(site.name, site.width, site.block) for site in supernet.space.sites]

    def extract(masks: Any) -> nn.Module:
        return supernet.extract(supernet.space.from_masks(masks))

    return build_template(supernet.extract(supernet.space.full()), torch.zeros(1, *IMAGE), sites, extract)


@pytest.mark.parametrize(("name", "state"), CASES)
def test_slicing_is_converting(name: str, state: str) -> None:
    supernet = modularize(made(MODULES[name], state == "trained"), torch.randn(2, *IMAGE)).eval()
    template = build(supernet)
    counts = {site.name: site.width // 2 for site in template.sites}
    gates = supernet.space.from_masks(random_masks(template.sites, counts, np.random.default_rng(1)))
    x = np.random.default_rng(2).standard_normal((2, *IMAGE)).astype(np.float32)
    itself = convert(supernet.extract(gates), torch.zeros(1, *IMAGE))
    sliced = template.emit(gates.pack()).tobytes()
    np.testing.assert_array_equal(tflite_outputs(sliced, x), tflite_outputs(itself, x))


@pytest.mark.parametrize("precision", [sweep(Precision.FLOAT16), Precision.INT8])
def test_its_template_can_be_quantised(precision: Precision) -> None:
    supernet = modularize(made(TwoScales, trained=True), torch.randn(2, *IMAGE)).eval()
    samples = np.random.default_rng(3).standard_normal((8, *IMAGE)).astype(np.float32)
    template = quantize_template(build(supernet), supernet.extract(supernet.space.full()), precision, samples)
    assert [site.name for site in template.sites] == ["shared.0"]


@pytest.mark.parametrize("trained", [False, True], ids=["untrained", "trained"])
def test_every_call_has_the_filters_with_its_own_normalisation(trained: bool) -> None:
    module = made(TwoScales, trained)
    graph = converted(module)
    calls = find_producers(graph, module, [TemplateSite("shared.0", 12)])["shared.0"]
    first, second = (graph.value(graph.operators[call].inputs[1]) for call in calls)
    assert np.array_equal(first, second) is not trained


def test_a_list_of_modules_is_no_part_of_a_call_path() -> None:
    module, kind = made(TwoScales, trained=False), "torch.nn.modules.conv.Conv2d"
    paths = call_paths(module, torch.zeros(1, *IMAGE))
    assert paths["shared.0"] == [f"{__name__}.TwoScales/{kind}_0"] * 2
    assert "shared" not in paths and not any(layer._forward_hooks for layer in module.modules())


class EqualFilters(nn.Module):
    """The same 8 filters in two layers, one of them called twice."""

    def __init__(self, lists: bool) -> None:
        super().__init__()
        first, second = nn.Conv2d(3, 8, 3, bias=False), nn.Conv2d(3, 8, 3, bias=False)
        second.load_state_dict(first.state_dict())
        self.first, self.second = (nn.ModuleList([each]) if lists else each for each in (first, second))
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(3))
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        first, second = (each[0] if isinstance(each, nn.ModuleList) else each for each in (self.first, self.second))
        parts = [first(x), second(x[:, :, ::2, ::2]), first(x.flip(2))]
        parts = [norm(part).relu().mean((2, 3), keepdim=True) for norm, part in zip(self.norms, parts, strict=True)]
        return torch.cat([self.head(part) for part in parts], 1)


def with_random_norms(module: EqualFilters) -> EqualFilters:
    for norm in module.norms:
        norm.weight.data.uniform_(0.5, 1.5)
    return module.eval()


def test_other_layers_of_equal_filters_are_told_apart_by_name() -> None:
    torch.manual_seed(0)
    module, sites = with_random_norms(EqualFilters(lists=False)), [TemplateSite("first", 8), TemplateSite("second", 8)]
    producers = find_producers(converted(module, (3, 16, 16)), module, sites)
    assert {name: len(calls) for name, calls in producers.items()} == {"first": 2, "second": 1}
    assert not set(producers["first"]) & set(producers["second"])


def test_more_operators_than_calls_are_refused() -> None:
    """Both layers are the first of a list, and lists are not in names."""
    torch.manual_seed(0)
    module = with_random_norms(EqualFilters(lists=True))
    said = "site 'first.0': 3 operators hold its weights, 3 of them have its name, but it is called 2 times"
    with pytest.raises(ConversionError, match=said):
        find_producers(converted(module, (3, 16, 16)), module, [TemplateSite("first.0", 8)])


class HalfFree(nn.Module):
    """One call's channels can be sliced, the other's are normalised over."""

    def __init__(self, softmax: bool) -> None:
        super().__init__()
        self.softmax = softmax
        self.shared, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        free, other = self.shared(x), self.shared(x[:, :, ::2, ::2])
        other = other.softmax(1) if self.softmax else other.relu()
        return self.head(free).mean((2, 3)) + self.head(other).mean((2, 3))


def test_a_reason_against_one_call_is_one_against_the_site() -> None:
    torch.manual_seed(0)
    module, site = HalfFree(softmax=True).eval(), TemplateSite("shared", 8)
    graph = converted(module, (3, 16, 16))
    with pytest.raises(ConversionError, match="site 'shared' cannot be sliced: .*SOFTMAX"):
        plan_by_union(graph, [site], find_producers(graph, module, [site]))


def test_a_site_takes_the_weights_and_biases_of_all_calls() -> None:
    torch.manual_seed(0)
    module, site = HalfFree(softmax=False).eval(), TemplateSite("shared", 8)
    graph = converted(module, (3, 16, 16))
    plan = plan_by_union(graph, [site], find_producers(graph, module, [site]))
    assert set(plan.axes.values()) == {(Run("shared", 1),)}
    constants = sorted((graph.shape(tensor), axis) for tensor, axis in plan.axes if graph.is_constant(tensor))
    assert constants == sorted([((8, 3, 3, 3), 0), ((8,), 0), ((2, 1, 1, 8), 3)] * 2)
