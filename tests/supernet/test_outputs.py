"""Keeping some rows of a module's classifier."""

import pytest
import torch
from edgewright.errors import InputError
from edgewright.supernet.outputs import keep_outputs, linear_classifier
from timm import create_model
from torch import nn


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_the_kept_outputs_are_those_of_the_whole_module(name):
    arguments = {"img_size": 64} if name.startswith("vit") else {}
    torch.manual_seed(0)
    module, x = create_model(name, num_classes=7, **arguments).eval(), torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        whole = module(x)  # (B, 7)
    with torch.inference_mode():
        assert torch.allclose(keep_outputs(module, (6, 2))(x), whole[:, [6, 2]], atol=1e-6)
    assert linear_classifier(module).out_features == 2


@pytest.mark.parametrize("module", [nn.Linear(3, 4), create_model("resnet10t", num_classes=0)])
def test_a_module_without_a_linear_classifier_is_refused(module):
    with pytest.raises(InputError, match="does not end in one linear classifier.*resnet18"):
        keep_outputs(module, (0,))
