"""What the card of the shipped supernet claims, checked on a part of its tasks."""

import numpy as np
import pytest
from edgewright.host.shipped import shipped_supernet
from edgewright.host.tasks import numvqa
from edgewright.host.tasks.digits import load_digits
from edgewright.host.training.evaluate import evaluate_tasks, gated_accuracy


@pytest.fixture(scope="module")
def rows(trained):
    tasks = [*numvqa.TRAINED[::6], *numvqa.HELD_OUT]
    return evaluate_tasks(trained, load_digits().test, tasks, [0.05, 0.2], 100, seed=1)


def test_trained_tasks_reach_97_percent_at_a_limit_of_20_percent(rows):
    assert np.mean([row.accuracy for row in rows if row.limit == 0.2 and not row.held_out]) >= 0.97


def test_held_out_tasks_are_answered_too(rows):
    assert np.mean([row.accuracy for row in rows if row.limit == 0.2 and row.held_out]) >= 0.95


def test_every_subnet_keeps_its_limit(rows):
    assert all(row.ratio <= row.limit for row in rows)


def test_the_gates_carry_the_task(trained):
    """One task's gates on another task's images are about as good as guessing: nothing else tells the network."""
    from edgewright.host.assembler.request import Request

    (gates,) = trained.assembler.assemble([Request(numvqa.SPACE.parse("has 3"), 0.2)])
    other = numvqa.examples(numvqa.SPACE.parse("only two odd"), load_digits().test, 200, np.random.default_rng(0))
    assert gated_accuracy(trained, gates, other) < 0.75


def test_the_card_names_this_supernet(trained):
    assert f"Digest `{trained.digest}`" in (shipped_supernet() / "CARD.md").read_text()
