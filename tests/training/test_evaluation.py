"""Evaluation in a run: when, by which measure, and that the best weights remain."""

import pytest
from edgewright.training.evaluation import Evaluation
from edgewright.training.hooks import Reports
from edgewright.training.loop import Hook

from tests.training.small import assert_equal, model, run, stage, weights
from tests.training.test_hooks import Judge


class Validations(Hook):
    """What other hooks are told."""

    def __init__(self):
        self.seen = []

    def after_step(self, loop):
        self.seen.append(loop.validation)


@pytest.mark.parametrize(("at_end", "last"), [(True, 0.3), (False, None)])
def test_every_few_steps_and_at_the_end_where_that_is_wanted(at_end, last):
    validations = Validations()
    run([stage("joint", 5)], [Evaluation(Judge(0.1, 0.2, 0.3), 2, ["joint"], at_end=at_end), validations])
    assert validations.seen == [None, 0.1, None, 0.2, last]


def test_other_stages_are_not_evaluated():
    judge = Judge(0.5)
    loop = run([stage("pretrain", 3), stage("joint", 1), stage("tune", 2)], [Evaluation(judge, 1, ["joint"])])
    assert len(judge.seen) == 1
    after = weights(loop.modules)
    assert any((after[name] != tensor).any() for name, tensor in judge.seen[0].items()), "tuned from there on"


def test_of_equal_scores_the_latest_is_the_best():
    judge = Judge(0.5, 0.9, 0.9, 0.1)
    evaluation = Evaluation(judge, 1, ["joint"])
    loop = run([stage("joint", 4)], [evaluation])
    assert (evaluation.best.step, evaluation.best.score) == (3, 0.9)
    assert_equal(weights(loop.modules), judge.seen[2])


def test_of_equal_losses_the_first_is_the_best():
    """By the score it would be another."""
    judge = Judge((0.5, 0.5), (0.8, 0.2), (1.0, 0.2), (0.6, 0.4))
    evaluation = Evaluation(judge, 1, ["joint"], by="loss")
    loop = run([stage("joint", 4)], [evaluation])
    assert (evaluation.best.step, evaluation.best.value, evaluation.best.score) == (2, 0.2, 0.8)
    assert_equal(weights(loop.modules), judge.seen[1])


def test_without_an_evaluation_the_weights_are_those_of_the_start():
    module = model()
    start = weights({"model": module})
    evaluation = Evaluation(Judge(), 10, ["joint"], at_end=False)
    assert_equal(weights(run([stage("joint", 4)], [evaluation], {"model": module}).modules), start)
    assert evaluation.best.step == 0


def test_by_loss_there_must_be_one():
    with pytest.raises(TypeError, match="an evaluation by loss needs a loss"):
        run([stage("joint", 1)], [Evaluation(Judge(0.5), 1, ["joint"], by="loss")])


def test_a_model_in_evaluation_mode_learns_on():
    """Whatever mode an evaluation leaves the modules in."""
    told = []

    def judge(modules):
        modules["model"].eval()
        return Judge(0.5)(modules)

    class Modes(Hook):
        def before_step(self, loop):
            told.append(loop.modules["model"].training)

    run([stage("joint", 3)], [Evaluation(judge, 1, ["joint"]), Modes(), Reports(lambda at: None)])
    assert told == [True] * 3
