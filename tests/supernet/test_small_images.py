"""A ResNet for small images is a supernet like any other, and keeps the resolution of its stem."""

import pytest
import torch
from edgewright.errors import InputError
from edgewright.supernet.backbones import build_backbone
from edgewright.supernet.supernet import modularize

ARGUMENTS = {"num_classes": 5, "channels": [8, 8, 16, 16], "layers": [1, 1, 1, 1]}


def test_the_first_stage_works_on_all_pixels_and_the_last_on_an_eighth():
    model = build_backbone("small-image-resnet", ARGUMENTS).eval()
    sizes = []
    for stage in (model.layer1, model.layer4):
        stage.register_forward_hook(lambda _, inputs, output: sizes.append(tuple(output.shape[2:])))
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 5)
    assert sizes == [(32, 32), (4, 4)]


def test_its_blocks_are_sites():
    model = build_backbone("small-image-resnet", ARGUMENTS)
    supernet = modularize(model, torch.randn(2, 3, 32, 32))
    assert [site.width for site in supernet.space.sites] == [64, 8, 8, 16, 16]
    gates = supernet.space.smallest()
    x = torch.randn(2, 3, 32, 32)
    gated = supernet.eval()(x, torch.tensor(gates.bits).float())
    assert torch.allclose(supernet.extract(gates)(x), gated, atol=1e-5)


def test_three_stages_after_a_pooled_stem():
    arguments = {"num_classes": 5, "channels": [8, 16, 24], "layers": [1, 1, 1], "stem_pool": True}
    model = build_backbone("small-image-resnet", arguments).eval()
    sizes = []
    for stage in (model.conv1, model.layer1, model.layer3):
        stage.register_forward_hook(lambda _, inputs, output: sizes.append(tuple(output.shape[1:])))
    images = torch.randn(2, 3, 32, 32)
    assert model(images).shape == (2, 5) and model.get_classifier().in_features == 24
    assert sizes == [(64, 32, 32), (8, 16, 16), (24, 4, 4)]
    supernet = modularize(model, images)
    assert [site.width for site in supernet.space.sites] == [64, 8, 16, 24]
    gates = supernet.space.smallest()
    gated = supernet.eval()(images, torch.tensor(gates.bits).float())
    assert torch.allclose(supernet.extract(gates)(images), gated, atol=1e-5)


def test_stages_need_their_channels():
    for layers, channels in (((2, 2), (8,)), ((1,) * 5, (8,) * 5), ((), ())):
        with pytest.raises(InputError, match="has one to 4 stages, with `layers` and `channels` for each"):
            build_backbone("small-image-resnet", {"num_classes": 2, "layers": layers, "channels": channels})


def test_other_arguments_are_refused():
    with pytest.raises(InputError, match="small-image-resnet"):
        build_backbone("small-image-resnet", {"depth": 3, "num_classes": 2})
