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


def test_other_arguments_are_refused():
    with pytest.raises(InputError, match="small-image-resnet"):
        build_backbone("small-image-resnet", {"depth": 3, "num_classes": 2})
