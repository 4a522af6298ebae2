"""Averaged weights: the average that is asked for, evaluated and delivered in place of the latest weights."""

import pytest
import torch
from edgewright.training.averaging import Averaging
from edgewright.training.checkpoint import Checkpoint
from edgewright.training.evaluation import Evaluation
from edgewright.training.hooks import Checkpoints, DropOnPlateau
from edgewright.training.loop import Hook

from tests.training.small import assert_equal, killed, model, run, stage, weights
from tests.training.test_hooks import Judge

DECAY = 0.8


class Latest(Hook):
    """The weights of every step, as they were learnt."""

    name = "latest"

    def __init__(self):
        self.seen = []

    def before_stage(self, loop):
        self.seen.append(weights(loop.modules))

    def after_step(self, loop):
        self.seen.append(weights(loop.modules))


def average(states, decay=DECAY):
    """Of all of them, the first with what weight is left; counters are the last's."""
    found = {name: tensor.double() for name, tensor in states[0].items()}
    for state in states[1:]:
        found = {name: decay * found[name] + (1 - decay) * tensor.double() for name, tensor in state.items()}
    return {name: tensor if tensor.is_floating_point() else states[-1][name] for name, tensor in found.items()}


def assert_close(one, other):
    for name, tensor in one.items():
        if "num_batches" not in name:
            assert torch.allclose(tensor.double(), other[name].double(), atol=1e-6), name


def test_the_average_of_all_steps_is_left_in_the_module():
    latest = Latest()
    loop = run([stage("s", 5)], [Averaging(DECAY), latest])
    found = weights(loop.modules)
    assert_close(found, average(latest.seen))
    assert found["model.1.num_batches_tracked"] == 5, "what counts is copied"
    assert not torch.allclose(found["model.0.weight"], latest.seen[-1]["model.0.weight"], atol=1e-4)


def test_learning_itself_does_not_see_the_average():
    plain, averaged = Latest(), Latest()
    run([stage("s", 5)], [plain])
    run([stage("s", 5)], [Averaging(DECAY), averaged])
    for one, other in zip(plain.seen, averaged.seen, strict=True):
        assert_equal(one, other)


def test_what_is_evaluated_and_delivered_is_the_average():
    latest, averaging, judge = Latest(), Averaging(DECAY), Judge(0.1, 0.9, 0.5)
    loop = run([stage("s", 6)], [averaging, Evaluation(judge, 2, ["s"], averaging=averaging), latest])
    for judged, n in zip(judge.seen, (2, 4, 6), strict=True):
        assert_close(judged, average(latest.seen[: n + 1]))
    assert_equal(weights(loop.modules), judge.seen[1])


def test_each_stage_has_an_average_of_its_own():
    latest = Latest()
    run([stage("one", 3), stage("two", 2)], [Averaging(DECAY), latest])
    first, second = latest.seen[:4], latest.seen[4:]
    assert_close(second[0], average(first))


def test_after_a_drop_the_average_begins_anew():
    averaging, latest = Averaging(DECAY), Latest()
    judge = Judge((0, 0.2), (0, 0.3), (0, 0.1))
    evaluation = Evaluation(judge, 1, ["s"], by="loss", averaging=averaging)
    run([stage("s", 3)], [averaging, evaluation, DropOnPlateau(evaluation, 1, 5), latest])
    assert_equal(latest.seen[2], judge.seen[0])
    assert_close(judge.seen[2], average([latest.seen[2], latest.seen[3]]))


@pytest.mark.parametrize("at", [1, 3, 4])
def test_a_killed_run_resumes_to_the_very_same_average(tmp_path, at):
    def hooks(*scores):
        averaging = Averaging(DECAY)
        return [averaging, Evaluation(Judge(*scores), 2, ["s"], averaging=averaging)]

    stages, scores = [stage("s", 4)], (0.3, 0.5)
    whole = run(stages, hooks(*scores), {"model": model()})
    killed(stages, [*hooks(*scores), Checkpoints(tmp_path, 0.0, {})], ("s", at), modules={"model": model()})
    resumed = run(stages, hooks(*scores[at // 2 :]), {"model": model()}, resumed=Checkpoint.load(tmp_path))
    assert_equal(weights(resumed.modules), weights(whole.modules))
