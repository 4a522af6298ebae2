"""The numeric check: it sees sizes that are written into the code, where the graph shows a constant."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from edgewright.errors import InputError
from edgewright.supernet.analysis.selfcheck import COMBINATION, VACUOUS
from edgewright.supernet.supernet import Supernet, modularize
from torch import Tensor, nn

X = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))


class TwoLayers(nn.Module):
    """conv -> (what is being tested) -> conv -> pool -> linear, with a residual branch around the first two."""

    def __init__(self, between: Callable[[Tensor, nn.Module], Tensor], after: Callable[[Tensor], Tensor] = torch.relu):
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 1)
        self.first, self.second = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 3, 1)
        self.last_norm = nn.BatchNorm2d(3)
        self.hidden, self.head = nn.Conv2d(3, 10, 1), nn.Linear(10, 4)
        self.between, self.after = between, after

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.last_norm(self.second(self.between(self.first(x).relu(), self.first)))
        return self.head(self.after(self.hidden(x)).mean((2, 3)))


def sites(supernet: Supernet) -> list[str]:
    return [site.name for site in supernet.plan.sites]


def reason(supernet: Supernet, producer: str) -> str:
    return next(r.reasons[0] for r in supernet.plan.refused if r.producers[0] == producer)


HIDDEN_SIZES = {
    "scale by the channel count": (lambda x, layer: x * x.shape[1] ** -0.5, "differ by"),
    "scale by an attribute": (lambda x, layer: x / layer.out_channels, "differ by"),
    "normalise by the channel count": (lambda x, layer: x - x.shape[1], "differ by"),
    "hard-coded reshape": (lambda x, layer: x.reshape(2, 8, 36).reshape(2, 8, 6, 6), "does not run"),
}


@pytest.mark.parametrize("name", HIDDEN_SIZES)
def test_hidden_sizes_are_refused(name: str) -> None:
    between, sentence = HIDDEN_SIZES[name]
    assert sites(modularize(TwoLayers(between), X, check=False)) == ["first", "hidden"], "the graph shows nothing"
    supernet = modularize(TwoLayers(between), X)
    assert sites(supernet) == ["hidden"]
    assert "self-check" in reason(supernet, "first") and sentence in reason(supernet, "first")
    assert {layer.out_site for layer in supernet.plan.layers} == {None, "hidden"}, "layers follow the refusal"
    assert {layer.in_site for layer in supernet.plan.layers} == {None, "hidden"}


def test_an_honest_model_passes() -> None:
    assert sites(modularize(TwoLayers(lambda x, layer: x), X)) == ["first", "hidden"]


def test_a_zero_initialised_norm_does_not_hide_a_branch() -> None:
    backbone = TwoLayers(lambda x, layer: x * x.shape[1] ** -0.5)
    nn.init.zeros_(backbone.last_norm.weight)
    nn.init.zeros_(backbone.last_norm.bias)
    assert sites(modularize(backbone, X)) == ["hidden"]
    assert not backbone.last_norm.weight.any()


def test_a_tiny_layer_scale_does_not_hide_a_branch() -> None:
    backbone = TwoLayers(lambda x, layer: x * x.shape[1] ** -0.5)
    nn.init.constant_(backbone.last_norm.weight, 1e-12)
    assert sites(modularize(backbone, X)) == ["hidden"]


def test_a_zero_head_does_not_hide_the_whole_model() -> None:
    backbone = TwoLayers(lambda x, layer: x / layer.out_channels)
    nn.init.zeros_(backbone.head.weight)
    assert sites(modularize(backbone, X)) == ["hidden"]


def test_gates_that_change_nothing_are_refused() -> None:
    supernet = modularize(TwoLayers(lambda x, layer: x * 0.0), X)
    assert sites(supernet) == ["hidden"] and reason(supernet, "first") == VACUOUS


@pytest.mark.parametrize("seed", range(24, 32))  # with 28 only dead units are closed at first
def test_dead_units_are_no_dead_site(seed: int) -> None:
    """Four of six units never answer: closing some of them changes nothing, closing the others does."""

    class Dying(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Conv2d(6 if i else 3, 6, 1) for i in range(2))
            self.head = nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.layers[0](x).relu()
            x = self.layers[1](x / x.shape[1]).relu()  # the first site is refused, so that the second is tried alone
            return self.head(x.mean((2, 3)))

    backbone = Dying()
    with torch.no_grad():
        for weight in (backbone.layers[0].weight, backbone.layers[1].weight):
            weight.copy_(torch.rand(weight.shape, generator=torch.Generator().manual_seed(1)) + 0.5)
        backbone.layers[1].weight[:4] = -100.0
    supernet = modularize(backbone, X, generator=torch.Generator().manual_seed(seed))
    assert sites(supernet) == ["layers.1"], [str(each) for each in supernet.plan.refused]


def test_sites_that_fail_only_together() -> None:
    widths = {}

    def remember(x: Tensor, layer: nn.Module) -> Tensor:
        widths["first"] = x.shape[1]
        return x

    def both_narrow(x: Tensor) -> Tensor:
        return x * (2.0 if widths["first"] < 8 and x.shape[1] < 10 else 1.0)

    with pytest.raises(InputError, match=COMBINATION):
        modularize(TwoLayers(remember, both_narrow), X)


def test_bisection_finds_several_culprits_among_many() -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Conv2d(6 if i else 3, 6, 1) for i in range(9))
            self.head = nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            for i, layer in enumerate(self.layers):
                x = layer(x).relu()
                x = x / x.shape[1] if i in (2, 3, 7) else x
            return self.head(x.mean((2, 3)))

    assert sites(modularize(Deep(), X)) == [f"layers.{i}" for i in (0, 1, 4, 5, 6, 8)]


def test_same_generator_same_plan_and_the_global_one_is_not_used() -> None:
    backbone = TwoLayers(lambda x, layer: x / layer.out_channels)
    plans = []
    for global_seed in (0, 1):
        torch.manual_seed(global_seed)
        plans.append(modularize(backbone, X, generator=torch.Generator().manual_seed(5)).plan)
    assert plans[0] == plans[1]


def test_an_infinite_model_cannot_be_judged() -> None:
    with pytest.raises(InputError, match="not finite"):
        modularize(TwoLayers(lambda x, layer: x / 0.0), X)
