"""A warm start takes from a trained supernet what fits, and says when nothing does."""

import pytest
import torch
from edgewright.assembler.joint.recipe_files import load_recipe
from edgewright.errors import InputError
from edgewright.shipped import shipped_supernet
from edgewright.supernet.backbones import build_backbone
from edgewright.supernet.weights import BACKBONE, read_weights
from edgewright.training.warm_start import start_from
from safetensors.torch import save_file
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


# Weights from a file


@pytest.fixture
def pretrained():
    """A timm model's weights, as they are published: for 1000 classes, and for normalised colours."""
    torch.manual_seed(5)
    return build_backbone("resnet10t", {"num_classes": 20}).state_dict()


def test_a_file_of_weights_starts_a_backbone_that_normalises_its_images(pretrained, tmp_path):
    save_file(pretrained, tmp_path / "resnet10t.safetensors")
    torch.save({"state_dict": pretrained}, tmp_path / "resnet10t.pth")
    arguments = {"model": "resnet10t", "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "num_classes": 4}
    for name in ("resnet10t.safetensors", "resnet10t.pth"):
        model = build_backbone("normalised", arguments)
        assert start_from(model, str(tmp_path / name)) == len(pretrained) - 2, "all but the classifier"
        assert torch.equal(model.model.layer1[0].conv1.weight, pretrained["layer1.0.conv1.weight"])


def test_a_file_of_another_model_is_refused(pretrained, tmp_path):
    save_file(pretrained, tmp_path / "resnet10t.safetensors")
    with pytest.raises(InputError, match=r"has only 1 of this backbone's \d+ tensors, by name and shape"):
        start_from(build_backbone("mobilenetv3_small_050", {}), str(tmp_path / "resnet10t.safetensors"))
    with pytest.raises(InputError, match="there is no file"):
        start_from(nn.Linear(2, 2), str(tmp_path / "gone.pth"))


def test_nothing_in_a_file_is_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path / "ran").touch, ()

    torch.save({"conv1.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match=r"evil.pth is damaged or foreign"):
        start_from(nn.Linear(2, 2), str(tmp_path / "evil.pth"))
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(InputError, match="holds no state dictionary"):
        start_from(nn.Linear(2, 2), str(tmp_path / "list.pth"))
    assert not (tmp_path / "ran").exists()
