"""The baselines' training: until it stops improving, and with the best weights it saw."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from edgewright.assembler.joint.recipe_files import load_recipe
from edgewright.assembler.scoring import model_score
from edgewright.domains.numvqa import domain as numvqa
from edgewright.domains.numvqa.batches import NumVqaSource
from edgewright.domains.numvqa.objective import NumVqaObjective
from edgewright.errors import InputError
from edgewright.pruning.structured import macs_of, pruned, with_new_head
from edgewright.supernet.backbones import build_backbone
from edgewright.training import fit as single
from edgewright.training.fit import Quality, UntilFlat, fit_all, fit_task

RECIPE = replace(load_recipe("numvqa-resnet"), batch_size=32, precision="float32")
TASK = numvqa.SPACE.parse("has 0")
SMALL = {"in_chans": 1, "channels": [8, 8, 16, 16], "zero_init_last": False}


@pytest.fixture(scope="module")
def objective(domain):
    return NumVqaObjective(domain)


def backbone(num_classes=2):
    torch.manual_seed(0)
    return build_backbone("resnet18", {**SMALL, "num_classes": num_classes})


def test_one_task_is_learnt(objective):
    """A few seconds are not enough to be good at it, but enough to be better than chance."""
    until = UntilFlat(evaluate_every=40, patience=3, drops=0, max_steps=160, n_images=200)
    fitted = fit_task(backbone(), TASK, objective, replace(RECIPE, digit_augmentation=False), until)
    assert fitted.accuracy > 0.62 and fitted.steps <= 160 and fitted.train_s > 0
    unseen = objective.domain.examples(TASK, "test", 400, np.random.default_rng(0))
    assert model_score(fitted.model, unseen) > 0.58
    assert not fitted.model.training


def test_only_the_asked_task_is_drawn(objective):
    batch = objective.source(replace(RECIPE, augmented_share=0.0), [TASK]).draw("joint", 0)
    assert {tuple(row) for row in batch.tasks.tolist()} == {tuple(numvqa.SPACE.encode(TASK.attributes))}


def test_a_task_is_validated_on_such_examples_as_it_is_tested_on(objective):
    """Half yes and half no, of counts as digits have them; always the same ones."""
    held, again = (objective.validation(RECIPE, 40, TASK) for _ in range(2))
    examples = objective.domain.examples(TASK, "validation", 40, np.random.default_rng([RECIPE.seed, 7]))
    for batch in (held, again):
        assert np.array_equal(batch.images.numpy(), examples.images)
        assert np.array_equal(batch.answers.numpy(), examples.answers) and batch.answers.sum() == 20
    assert torch.equal(held.digit_counts[:, 0] > 0, held.answers == 1), "has 0"
    assert {tuple(row) for row in held.tasks.tolist()} == {tuple(numvqa.SPACE.encode(TASK.attributes))}


class Rated:
    """In place of looking at validation images: losses and scores that are known."""

    def __init__(self, *qualities):
        self.qualities, self.states, self.seen = [Quality(*each) for each in qualities], [], []

    def __call__(self, model, batch, loss):
        self.seen.append((batch, loss))
        self.states.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return self.qualities[len(self.states) - 1]


def test_it_ends_when_no_rate_helps_and_keeps_the_best(objective, monkeypatch):
    """The best is that of the least loss: by the score alone it would be the third."""
    rated = Rated((0.5, 0.5), (0.2, 0.8), (0.3, 1.0), (0.4, 0.6), (0.1, 0.9), (0.1, 0.9), (0.2, 0.8))
    monkeypatch.setattr(single, "_quality", rated)
    until = UntilFlat(evaluate_every=1, patience=2, drops=1, max_steps=50, n_images=10)
    fitted = fit_task(backbone(), TASK, objective, RECIPE, until)
    assert fitted.accuracy == pytest.approx(0.9)
    assert (fitted.steps, fitted.flat) == (7, True), "equal is no improvement"
    for name, tensor in fitted.model.state_dict().items():
        assert torch.equal(tensor, rated.states[4][name]), name
    held, loss = rated.seen[0]
    assert all(batch is held and judge == loss for batch, judge in rated.seen), "always by the same images"
    assert len(held.images) == 10 and loss == objective.task_loss


def test_quality_is_that_of_the_model_in_evaluation_mode(objective):
    model = backbone().train()
    held = objective.validation(RECIPE, 700, TASK)
    found = single._quality(model, held, objective.task_loss)
    with torch.inference_mode():
        logits = model.eval()(held.images)
    assert found.loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, held.answers)), rel=1e-5)
    assert found.score == pytest.approx(float((logits.argmax(1) == held.answers).float().mean()), abs=0.005)


def test_all_tasks_at_once_are_learnt_from_digit_counts(objective, monkeypatch):
    rated = Rated((0.5, 0.3), (0.4, 0.4))
    monkeypatch.setattr(single, "_quality", rated)
    fitted = fit_all(backbone(50), objective, RECIPE, UntilFlat(evaluate_every=1, max_steps=2, n_images=30))
    assert fitted.accuracy == 0.4
    held, loss = rated.seen[0]
    assert len(held.images) == 30 and loss == objective.pretrain_loss
    plain = NumVqaSource(replace(RECIPE, batch_size=30, digit_augmentation=False), objective.domain.digits.validation)
    assert torch.equal(held.images, plain.draw("pretrain", 0).images), "of validation digits as they are"


def test_a_run_that_is_cut_says_that_it_was_not_flat(objective):
    until = UntilFlat(evaluate_every=2, patience=5, max_steps=2, n_images=20)
    assert not fit_all(backbone(50), objective, RECIPE, until).flat


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
