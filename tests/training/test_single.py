"""The baselines' training: until it stops improving, and with the best weights it saw."""

from dataclasses import replace

import pytest
import torch
from edgewright.host.errors import InputError
from edgewright.host.supernet.backbones import build_backbone
from edgewright.host.tasks import numvqa
from edgewright.host.tasks.digits import load_digits
from edgewright.host.training import single
from edgewright.host.training.batches import BatchSource
from edgewright.host.training.pruning import macs_of, pruned, with_new_head
from edgewright.host.training.recipe_files import load_recipe
from edgewright.host.training.single import UntilFlat, fit_counts, fit_task, task_accuracy

RECIPE = replace(load_recipe("numvqa-resnet"), batch_size=32, precision="float32")
TASK = numvqa.SPACE.parse("has 0")
SMALL = {"in_chans": 1, "channels": [8, 8, 16, 16], "zero_init_last": False}


@pytest.fixture(scope="module")
def digits():
    return load_digits()


def backbone(num_classes=2):
    torch.manual_seed(0)
    return build_backbone("resnet18", {**SMALL, "num_classes": num_classes})


def test_one_task_is_learnt(digits):
    """A few seconds are not enough to be good at it, but enough to be better than chance."""
    until = UntilFlat(evaluate_every=40, patience=3, drops=0, max_steps=160, n_images=200)
    fitted = fit_task(backbone(), TASK, digits, replace(RECIPE, digit_augmentation=False), until)
    assert fitted.accuracy > 0.62 and fitted.steps <= 160 and fitted.train_s > 0
    assert task_accuracy(fitted.model, TASK, digits.test, 400, 0) > 0.58
    assert not fitted.model.training


def test_only_the_asked_task_is_drawn(digits):
    batch = BatchSource(replace(RECIPE, augmented_share=0.0), digits.train, [TASK]).draw("joint", 0)
    assert {tuple(row) for row in batch.tasks.tolist()} == {tuple(numvqa.SPACE.encode(TASK.attributes))}


class Rated:
    """In place of the answers on validation images: accuracies that are known."""

    def __init__(self, *accuracies):
        self.accuracies, self.states = list(accuracies), []

    def __call__(self, model, images):
        self.states.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        right = self.accuracies[len(self.states) - 1]
        return torch.eye(2)[(torch.arange(len(images)) % 10 >= 10 * right).long()]


def test_it_ends_when_no_rate_helps_and_keeps_the_best(digits, monkeypatch):
    rated = Rated(0.5, 0.8, 0.7, 0.6, 0.9, 0.9, 0.8)
    monkeypatch.setattr(single, "_answers", rated)
    monkeypatch.setattr(single.numvqa, "examples", lambda *_: numvqa.Examples(blank(10), zeros(10)))
    until = UntilFlat(evaluate_every=1, patience=2, drops=1, max_steps=50, n_images=10)
    fitted = fit_task(backbone(), TASK, digits, RECIPE, until)
    assert fitted.accuracy == pytest.approx(0.9)
    assert (fitted.steps, fitted.flat) == (7, True), "equal is no improvement"
    for name, tensor in fitted.model.state_dict().items():
        assert torch.equal(tensor, rated.states[4][name]), name


def blank(n):
    return torch.zeros(n, 1, 56, 56).numpy()


def zeros(n):
    return torch.zeros(n, dtype=torch.int64).numpy()


def test_a_run_that_is_cut_says_that_it_was_not_flat(digits):
    until = UntilFlat(evaluate_every=2, patience=5, max_steps=2, n_images=20)
    assert not fit_counts(backbone(50), digits, RECIPE, until).flat


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
        pruned(backbone(), torch.zeros(1, 1, 56, 56), 1.0)
