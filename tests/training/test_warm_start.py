"""A warm start takes from a trained supernet what fits, and says when nothing does."""

import pytest
import torch
from edgewright.assembler.joint.recipe_files import load_recipe
from edgewright.errors import InputError
from edgewright.shipped import shipped_supernet
from edgewright.supernet.backbones import build_backbone
from edgewright.supernet.weights import BACKBONE, read_weights
from edgewright.training.warm_start import start_from
from torch import nn

SHIPPED = "numvqa-resnet"


@pytest.fixture(scope="module")
def weights():
    return read_weights(shipped_supernet(SHIPPED) / BACKBONE)


def test_all_that_has_name_and_shape_is_copied(weights):
    """Here all but the head, which answers 50 things instead of two."""
    backbone = load_recipe(SHIPPED).backbone
    model = build_backbone(backbone.name, {**backbone.arguments, "num_classes": 50})
    assert start_from(model, SHIPPED) == len(weights) - 2
    for name, tensor in model.state_dict().items():
        assert name in ("fc.weight", "fc.bias") or torch.equal(tensor, weights[name]), name


def test_a_detectors_feature_maps_are_those_layers_and_colours_share_the_grey_ones_weight(weights):
    backbone = load_recipe("attrod-digits").backbone
    model = build_backbone(backbone.name, backbone.arguments)
    assert start_from(model, str(shipped_supernet(SHIPPED))) > 50
    state = model.state_dict()
    assert torch.equal(state["features.layer1.0.conv1.weight"], weights["layer1.0.conv1.weight"])
    grey, colours = weights["conv1.weight"], state["features.conv1.weight"]
    assert colours.shape[1] == 3 and torch.allclose(colours.sum(1, keepdim=True), grey, atol=1e-6)


def test_what_fits_nowhere_is_refused():
    with pytest.raises(InputError, match="nothing of supernet 'numvqa-resnet' fits this backbone; name another one as"):
        start_from(nn.Linear(2, 2), SHIPPED)
    with pytest.raises(InputError, match="is damaged or foreign"):
        start_from(nn.Linear(2, 2), "nowhere/at/all")
