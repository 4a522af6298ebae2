"""What the cards of the shipped supernets claim, checked on a part of their tasks."""

import numpy as np
import pytest
from edgewright.assembler.archive import TrainedSupernet
from edgewright.assembler.joint.recipe import JointRecipe
from edgewright.assembler.joint.recipe_files import load_recipe
from edgewright.assembler.scoring import evaluate_tasks, gated_accuracy
from edgewright.domains.numvqa import domain as numvqa
from edgewright.shipped import shipped_supernet

TRAINED_AT_20 = {"numvqa-resnet": 0.97, "numvqa-vit": 0.95, "numvqa-mobilenet": 0.95}
HELD_OUT_AT_20 = {"numvqa-resnet": 0.95, "numvqa-vit": 0.92, "numvqa-mobilenet": 0.92}


@pytest.fixture(scope="module", params=TRAINED_AT_20)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def trained(name):
    return TrainedSupernet.load(shipped_supernet(name))


@pytest.fixture(scope="module")
def rows(trained, domain):
    tasks = [*numvqa.TRAINED[::6], *numvqa.HELD_OUT]
    return evaluate_tasks(trained, domain, tasks, [0.05, 0.2], 100, seed=1)


def test_trained_tasks_are_answered_at_a_limit_of_20_percent(name, rows):
    assert np.mean([row.accuracy for row in rows if row.limit == 0.2 and not row.held_out]) >= TRAINED_AT_20[name]


def test_held_out_tasks_are_answered_too(name, rows):
    assert np.mean([row.accuracy for row in rows if row.limit == 0.2 and row.held_out]) >= HELD_OUT_AT_20[name]


def test_every_subnet_keeps_its_limit(rows):
    assert all(row.ratio <= row.limit for row in rows)


def test_the_gates_carry_the_task(trained, domain):
    """One task's gates on another task's images are about as good as guessing: nothing else tells the network."""
    from edgewright.assembler.request import Request

    (gates,) = trained.assembler.assemble([Request(numvqa.SPACE.parse("has 3"), 0.2)])
    other = domain.examples(numvqa.SPACE.parse("only two odd"), "test", 200, np.random.default_rng(0))
    assert gated_accuracy(trained, gates, other) < 0.75


def test_the_card_names_this_supernet(name, trained):
    assert f"Digest `{trained.digest}`" in (shipped_supernet(name) / "CARD.md").read_text()


def test_the_recipe_that_comes_along_is_the_one_it_was_made_by(name, trained):
    assert JointRecipe.from_json(trained.facts["recipe"]) == load_recipe(name)
