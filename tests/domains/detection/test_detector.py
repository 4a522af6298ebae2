"""A detector: a timm backbone with a pyramid and one head, taken apart by the same analysis as any other model."""

import numpy as np
import pytest
import torch
from edgewright.domains.detection.boxes import Grid, decode
from edgewright.domains.detection.detector import Head, build_detector, new_score
from edgewright.errors import InputError
from edgewright.supernet.backbones import build_backbone
from edgewright.supernet.supernet import modularize

from tests.supernet.conftest import randomise

NARROW = {"channels": [8, 8, 12, 16], "zero_init_last": False}
N_SCORES = 3


def tiny(strides=(8, 16), depth=2):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_detector("resnet18", N_SCORES, strides, width=8, depth=depth, arguments=NARROW).eval()


@pytest.fixture(scope="module")
def x():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def supernet(x):
    return modularize(randomise(tiny(), seed=1), x).eval()


def random_gates(supernet, seed, share=0.5):
    rng = np.random.default_rng(seed)
    open_ = {site.name: rng.random(site.width) < share for site in supernet.space.sites}
    return supernet.space.from_counts([max(1, int(mask.sum())) for mask in open_.values()])


@pytest.mark.parametrize("strides", [(8,), (8, 16), (4, 8, 16), (8, 16, 32)])
def test_every_place_has_a_box_and_a_score_for_each_category(x, strides):
    outputs = tiny(strides)(x)
    assert outputs.shape == (2, len(Grid(64, strides).centres), 4 + N_SCORES)


@torch.no_grad()
def test_places_come_in_the_order_of_the_grid():
    """A head that hands its maps on is given maps that say where they are."""
    grid, head = Grid(64, (8, 16)), Head(2, n_scores=1, width=2, depth=0)
    head.box.weight.zero_()
    head.box.bias.zero_()
    head.box.weight[0, 0, 1, 1] = head.box.weight[1, 1, 1, 1] = 1.0
    maps = []
    for stride in grid.strides:
        middles = (torch.arange(64 // stride) + 0.5) * stride
        across = middles.repeat(len(middles), 1)  # (H, W)
        maps.append(torch.stack([across, across.T])[None])
    assert torch.equal(head(maps)[0, :, :2], grid.centres)


def test_untrained_it_takes_every_place_to_be_empty(x):
    assert new_score(8, 5).bias.sigmoid().tolist() == pytest.approx([0.02] * 5, rel=1e-3)
    outputs = tiny()(x).detach().numpy()
    assert all(len(found) == 0 for found in decode(outputs, Grid(64, (8, 16)), range(N_SCORES), min_score=0.3))


def test_the_pyramids_reductions_and_the_heads_convolutions_are_sites(supernet):
    widths = {site.name: site.width for site in supernet.plan.sites}
    assert {name: widths.get(name) for name in ("pyramid.reduce.0.conv", "pyramid.reduce.1.conv")} == {
        "pyramid.reduce.0.conv": 8, "pyramid.reduce.1.conv": 8,
    }  # fmt: skip
    assert {"head.convs.0", "head.convs.1"} <= set(widths)
    assert not any(name.startswith(("pyramid.lateral", "head.box", "head.score")) for name in widths)


def test_a_site_of_the_shared_head_slices_the_norms_of_every_level(supernet):
    (site,) = (site for site in supernet.plan.sites if site.name == "head.convs.0")
    tensors = {part.tensor for part in site.slices}
    assert {"head.norms.0.0.weight", "head.norms.1.0.weight", "head.convs.0.weight", "head.convs.1.weight"} <= tensors


@pytest.mark.parametrize("seed", range(4))
def test_the_subnet_computes_what_the_gated_detector_does(supernet, x, seed):
    gates = random_gates(supernet, seed)
    with torch.inference_mode():
        gated, sliced = supernet.forward_with(x, gates), supernet.extract(gates)(x)
    assert sliced.shape == (2, 80, 4 + N_SCORES)
    assert (gated - sliced).abs().max() <= 1e-5 * gated.abs().max()
    with torch.inference_mode():
        assert (gated - supernet(x)).abs().max() > 1e-2 * gated.abs().max()  # and not what the whole one does


def test_the_smallest_subnet_is_a_detector_still(supernet, x):
    smallest = supernet.space.from_counts([1] * len(supernet.space.sites))
    subnet = supernet.extract(smallest)
    assert subnet(x).shape == (2, 80, 4 + N_SCORES) and subnet(x).isfinite().all()
    assert sum(each.numel() for each in subnet.parameters()) < sum(each.numel() for each in supernet.parameters()) / 2


def test_every_channel_of_pyramid_and_head_says_something(supernet, x):
    """Closing any site of them changes the outputs."""
    full = [site.width for site in supernet.space.sites]
    with torch.inference_mode():
        whole = supernet(x)
        for index, site in enumerate(supernet.space.sites):
            if site.name.startswith(("pyramid", "head")):
                counts = [*full[:index], 1, *full[index + 1 :]]
                assert not torch.allclose(supernet.forward_with(x, supernet.space.from_counts(counts)), whole)


def test_every_module_learns(x):
    detector = tiny().train()
    detector(x).square().sum().backward()
    for name, tensor in detector.named_parameters():
        assert tensor.grad is not None and tensor.grad.isfinite().all(), name


@pytest.mark.parametrize(
    ("strides", "sentence"),
    [
        ((8, 32), "strides must double from level to level, got \\[8, 32\\]"),
        ((16, 8), "strides must double from level to level, got \\[16, 8\\]"),
        ((), "strides must double from level to level, got \\[\\]"),
        ((32, 64), "'resnet18' has no feature maps of strides \\[32, 64\\]"),
        ((0,), "'resnet18' has no feature maps of strides \\[0\\]"),
    ],
)
def test_strides_that_cannot_be(strides, sentence):
    with pytest.raises(InputError, match=sentence):
        build_detector("resnet18", N_SCORES, strides)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"features": "resnet99", "num_classes": 2}, "'resnet99' has no feature maps"),
        ({"features": "resnet18", "num_classes": 2, "colour": "red"}, "backbone 'detector' cannot be built with"),
        ({"num_classes": 2}, "backbone 'detector' cannot be built with"),
    ],
)
def test_a_detector_that_cannot_be_built(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        build_backbone("detector", arguments)
