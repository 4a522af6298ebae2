"""Hooks: what they do to a run, and that a resumed run remembers it."""

import pytest
import torch
from edgewright.training.checkpoint import Checkpoint
from edgewright.training.evaluation import Evaluation, Quality
from edgewright.training.hooks import Checkpoints, DropOnPlateau, EarlyStop, Progress, Reports
from edgewright.training.loop import Hook
from edgewright.training.schedule import cycle

from tests.training.small import assert_equal, killed, model, run, stage, weights


class Counter(Hook):
    name = "counter"

    def state_dict(self):
        return {"count": 1}


def test_hooks_with_a_state_have_different_names(tmp_path):
    """Or one would be resumed with the other's."""
    with pytest.raises(ValueError, match="hooks with a state need different names, got counter, counter"):
        run([stage("one", 1)], [Counter(), Counter(), Checkpoints(tmp_path, 0.0, {})])


class Judge:
    """Qualities that are known, one after the other, and the weights that were judged."""

    def __init__(self, *qualities):
        self.qualities = [Quality(*each) if isinstance(each, tuple) else Quality(each) for each in qualities]
        self.seen = []

    def __call__(self, modules):
        self.seen.append(weights(modules))
        return self.qualities[len(self.seen) - 1]


class Rates(Hook):
    name = "rates"

    def __init__(self):
        self.seen = []

    def before_step(self, loop):
        self.seen.append(loop.optimizers[0].param_groups[0]["lr"])


def plateau(judge, patience, drops, every=1):
    evaluation = Evaluation(judge, every, ["fit"], by="loss", at_end=False)
    return evaluation, DropOnPlateau(evaluation, patience, drops)


def test_progress_is_told_after_every_step():
    told = []
    run([stage("one", 2), stage("two", 1)], [Reports(told.append)])
    assert [(each.stage, each.step, each.total) for each in told] == [("one", 1, 2), ("one", 2, 2), ("two", 1, 1)]
    assert all(isinstance(each, Progress) and each.loss == -each.score > 0 for each in told)


def test_a_loss_is_read_when_it_is_asked_for():
    """To read one is to wait for the GPU."""
    read = []

    class Value:
        def item(self):
            read.append(self)
            return 0.5

    at = Progress("one", 1, 2, (Value(), Value()))
    assert read == [] and at.loss == 0.5 and len(read) == 1 and at.score == 0.5
    assert Progress("one", 1, 2, None).loss is None


@pytest.mark.parametrize(("every_s", "written"), [(0.0, 7), (1e6, 2)])
def test_a_checkpoint_is_written_now_and_then_and_at_the_end_of_each_stage(tmp_path, monkeypatch, every_s, written):
    saved = []
    save = Checkpoint.save

    def note(self, folder):
        saved.append((self.stage, self.step))
        save(self, folder)

    monkeypatch.setattr(Checkpoint, "save", note)
    run([stage("one", 4), stage("two", 3)], [Checkpoints(tmp_path, every_s, {"name": "mine"})])
    assert len(saved) == written and {("one", 4), ("two", 3)} <= set(saved)
    assert Checkpoint.load(tmp_path).settings == {"name": "mine"}


def test_early_stop_waits_for_as_many_evaluations_as_it_has_patience():
    judge = Judge(0.5, 0.9, 0.8, 0.9, 0.1, 0.2, 0.3)
    evaluation = Evaluation(judge, 2, ["joint"])
    loop = run([stage("joint", 100)], [evaluation, EarlyStop(evaluation, 2, ["joint"])])
    assert len(judge.seen) == 6, "an equal score is a better one, and patience counts anew from there"
    assert_equal(weights(loop.modules), judge.seen[3])


def test_without_patience_a_stage_goes_on():
    judge = Judge(*[1.0 - 0.01 * n for n in range(20)])
    evaluation = Evaluation(judge, 1, ["joint"])
    assert run([stage("joint", 20)], [evaluation, EarlyStop(evaluation, 0, ["joint"])]).step == 20


def test_out_of_patience_later_stages_are_left_out_where_they_learn_for_the_same_aim():
    evaluation = Evaluation(Judge(0.5, 0.4), 1, ["joint"])
    told = []
    hooks = [evaluation, EarlyStop(evaluation, 1, ["joint", "tune"]), Reports(told.append)]
    run([stage("joint", 9), stage("tune", 9), stage("other", 1)], hooks)
    assert [(each.stage, each.step) for each in told] == [("joint", 1), ("joint", 2), ("other", 1)]


def test_the_rate_drops_on_a_plateau_from_the_best_weights_and_in_the_end_it_ends():
    """Losses: the best one, two worse ones, a drop; a better one, two that are not, the end."""
    judge = Judge((0, 0.2), (0, 0.3), (0, 0.4), (0, 0.1), (0, 0.1), (0, 0.2))
    evaluation, drop = plateau(judge, patience=2, drops=1)
    rates = Rates()
    loop = run([stage("fit", 100, 0.05, schedule=cycle(0.5))], [evaluation, drop, rates])
    assert (loop.step, drop.is_flat) == (6, True)
    share = cycle(0.5)
    assert rates.seen[:3] == pytest.approx([0.05 * share(step, 100) for step in range(3)])
    assert rates.seen[3:] == pytest.approx([0.005 * share(step, 100) for step in range(3, 6)])
    assert_equal(weights(loop.modules), judge.seen[3])


def test_after_a_drop_learning_goes_on_from_the_best_weights():
    judge = Judge((0, 0.2), (0, 0.3), (0, 0.4))
    evaluation, drop = plateau(judge, patience=1, drops=5)
    before = {}

    class Note(Hook):
        def before_step(self, loop):
            before[loop.step] = weights(loop.modules)

    run([stage("fit", 3)], [evaluation, drop, Note()])
    assert_equal(before[2], judge.seen[0])


def test_a_loss_that_is_no_number_is_no_improvement():
    judge = Judge(*[(0, float("nan"))] * 2)
    evaluation, drop = plateau(judge, patience=1, drops=1)
    module = model()
    start = weights({"model": module})
    loop = run([stage("fit", 9)], [evaluation, drop], {"model": module})
    assert_equal(weights(loop.modules), start)


@pytest.mark.parametrize("at", range(1, 7))
def test_plateaus_survive_a_kill_at_any_step(tmp_path, at):
    """Best weights, patience and dropped rates are of the checkpoint."""
    losses = [(0, loss) for loss in (0.2, 0.3, 0.4, 0.1, 0.1, 0.2)]
    whole_judge = Judge(*losses)
    evaluation, drop = plateau(whole_judge, patience=2, drops=1)
    stages = [stage("fit", 100, 0.05)]
    whole = run(stages, [evaluation, drop])
    evaluation, drop = plateau(Judge(*losses), patience=2, drops=1)
    killed(stages, [evaluation, drop, Checkpoints(tmp_path, 0.0, {})], ("fit", at))
    rest = Judge(*losses[at:])
    evaluation, drop = plateau(rest, patience=2, drops=1)
    resumed = run(stages, [evaluation, drop], resumed=Checkpoint.load(tmp_path))
    assert len(rest.seen) == 6 - at and (resumed.step, drop.is_flat) == (whole.step, True)
    assert_equal(weights(resumed.modules), weights(whole.modules))
    assert evaluation.best.step == 4 and torch.equal(
        evaluation.best.modules["model"]["0.weight"], whole_judge.seen[3]["model.0.weight"]
    )
