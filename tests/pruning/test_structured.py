"""Pruning whole groups of channels, as Prune&Tune does first."""

import pytest
import torch
from edgewright.assembler.joint.recipe_files import load_recipe
from edgewright.errors import InputError
from edgewright.pruning.structured import macs_of, pruned, with_new_head
from edgewright.supernet.backbones import build_backbone
from torch import nn


@pytest.mark.parametrize("name", ["numvqa-resnet", "numvqa-vit"])
@pytest.mark.filterwarnings("ignore:Unwrapped parameters")
def test_pruning_makes_any_backbone_smaller_and_leaves_it_whole(name):
    recipe = load_recipe(name)
    torch.manual_seed(0)
    model = build_backbone(recipe.backbone.name, {**recipe.backbone.arguments, "num_classes": 50}).eval()
    example = torch.rand(1, 1, 56, 56)
    assert torch.equal(pruned(model, example, 0.0)(example), model(example))
    costs = []
    for share in (0.0, 0.4, 0.8):
        smaller = pruned(model, example, share)
        assert smaller(torch.rand(3, 1, 56, 56)).shape == (3, 50)
        assert with_new_head(smaller, 2)(example).shape == (1, 2)
        costs.append(macs_of(smaller, example))
    assert costs[0] > 2 * costs[1] > 4 * costs[2]


def test_a_share_outside_is_refused():
    with pytest.raises(InputError, match=r"must lie in \[0, 1\), got 1"):
        pruned(nn.Conv2d(1, 1, 1), torch.zeros(1, 1, 56, 56), 1.0)
