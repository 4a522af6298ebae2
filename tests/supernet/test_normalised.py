"""A backbone that normalises its images is the timm model on normalised images, and a supernet like any other."""

import pytest
import torch
from edgewright.errors import InputError
from edgewright.supernet.backbones import build_backbone
from edgewright.supernet.outputs import keep_outputs
from edgewright.supernet.supernet import modularize

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ARGUMENTS = {"model": "resnet10t", "mean": MEAN, "std": STD, "num_classes": 5, "channels": [8, 8, 16, 16]}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_backbone("normalised", ARGUMENTS).eval()


def test_it_is_the_model_on_normalised_images(model):
    images = torch.rand(2, 3, 32, 32)
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (MEAN, STD))
    assert torch.allclose(model(images), model.model((images - mean) / std), atol=1e-5)


def test_its_subnets_are_cut_out_and_its_outputs_kept(model):
    supernet = modularize(model, torch.rand(2, 3, 32, 32))
    gates, images = supernet.space.smallest(), torch.rand(2, 3, 32, 32)
    gated = supernet.eval()(images, torch.tensor(gates.bits).float())
    subnet = supernet.extract(gates)
    assert torch.allclose(subnet(images), gated, atol=1e-5)
    assert torch.allclose(keep_outputs(subnet, [3, 1])(images), gated[:, [3, 1]], atol=1e-5)


@pytest.mark.parametrize("changed", [{"mean": (0.5,)}, {"std": (0.2, 0.2, 0.0)}, {"in_chans": 1}])
def test_numbers_that_do_not_fit_are_refused(changed):
    with pytest.raises(InputError, match="needs a mean and a standard deviation above 0 for each of"):
        build_backbone("normalised", {**ARGUMENTS, **changed})
