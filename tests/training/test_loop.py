"""The loop with plain modules: stages, hooks, several optimizers, and a run that is the same after a kill."""

import pytest
import torch
from edgewright.errors import InputError
from edgewright.training.checkpoint import Checkpoint
from edgewright.training.compute import Compute
from edgewright.training.hooks import Checkpoints
from edgewright.training.loop import Hook, Loop, Stage, StepLoss, Update
from edgewright.training.schedule import cycle
from torch import nn

from tests.training.small import assert_equal, batch, killed, mean_square, model, run, stage, weights


def test_two_stages_are_plain_training_one_after_the_other():
    """The loop against the ten lines that anybody would write."""
    loop = run([stage("first", 5, 0.1, schedule=cycle(0.2), weight_decay=0.1), stage("second", 3, 0.01)])
    module = model()
    for name, steps, lr, schedule, decay in (("first", 5, 0.1, cycle(0.2), 0.1), ("second", 3, 0.01, None, 0.0)):
        optimizer = torch.optim.AdamW(module.parameters(), weight_decay=decay)
        for step in range(steps):
            module.train()
            optimizer.param_groups[0]["lr"] = lr * (schedule(step, steps) if schedule else 1.0)
            optimizer.zero_grad()
            mean_square(module, name)(step).total.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 5.0)
            optimizer.step()
    assert_equal(weights(loop.modules), weights({"model": module}))
    x, y = batch("first", 99)
    with torch.inference_mode():
        assert (module.eval()(x) - y).square().mean() < y.square().mean()


class Noted(Hook):
    name = "noted"

    def __init__(self):
        self.seen = []

    def before_stage(self, loop):
        self.seen.append(("before stage", loop.stage.name, loop.step))

    def before_step(self, loop):
        self.seen.append(("before step", loop.stage.name, loop.step))

    def after_step(self, loop):
        self.seen.append(("after step", loop.stage.name, loop.step))

    def after_stage(self, loop):
        self.seen.append(("after stage", loop.stage.name, loop.step))


def test_hooks_see_every_moment_of_every_stage():
    noted = Noted()
    run([stage("one", 2), stage("none", 0), stage("two", 1)], [noted])
    assert noted.seen == [
        ("before stage", "one", 0),
        ("before step", "one", 0), ("after step", "one", 1), ("before step", "one", 1), ("after step", "one", 2),
        ("after stage", "one", 2),
        ("before stage", "none", 0), ("after stage", "none", 0),
        ("before stage", "two", 0), ("before step", "two", 0), ("after step", "two", 1), ("after stage", "two", 1),
    ]  # fmt: skip


def test_a_hook_ends_a_stage_and_the_next_one_begins():
    class Stop(Hook):
        def after_step(self, loop):
            if (loop.stage.name, loop.step) == ("one", 2):
                loop.stop()

    noted = Noted()
    run([stage("one", 50), stage("two", 1)], [Stop(), noted])
    assert [each[1:] for each in noted.seen if each[0] == "after stage"] == [("one", 2), ("two", 1)]


def test_only_what_has_a_rate_learns_each_at_its_own():
    modules = {"body": nn.Linear(3, 3), "head": nn.Linear(3, 1), "teacher": nn.Linear(3, 1)}
    before, rates = weights(modules), []

    def loss(step):
        x, y = batch("s", step)
        error = (modules["head"](modules["body"](x)) - y - 0.1 * modules["teacher"](x)).square().mean()
        return StepLoss(error, error, error)

    class Rates(Hook):
        def before_step(self, loop):
            rates.append([group["lr"] for group in loop.optimizers[0].param_groups])

    learn = Update({"body": 0.1, "head": 0.01}, loss, cycle(0.5))
    loop = run([Stage("s", 4, lambda _: [learn])], [Rates()], modules)
    assert loop.learning == ("body", "head")
    assert rates == [pytest.approx([0.1 * share, 0.01 * share]) for share in (0.5, 1.0, 1.0, 0.5)]
    after = weights(modules)
    moved = {name.split(".")[0] for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert moved == {"body", "head"}


def test_a_stage_that_learns_nothing_is_a_forward_pass():
    """Such as one that lets batch norm see the data."""
    module = model()
    before = weights({"model": module})

    def look(step):
        with torch.no_grad():
            module(batch("look", step)[0])

    def prepare(modules):
        modules["model"].train()

    loop = run([Stage("look", 3, lambda _: [Update({}, look)], prepare)], modules={"model": module})
    changed = {name for name, now in weights({"model": module}).items() if not torch.equal(now, before[name])}
    assert changed == {"model.1.running_mean", "model.1.running_var", "model.1.num_batches_tracked"}
    assert loop.losses == (None,) and loop.optimizers == ()


def test_to_learn_without_a_loss_is_a_mistake():
    with pytest.raises(TypeError, match="stage 's' learns, but step 0 gave no loss"):
        run([Stage("s", 1, lambda _: [Update({"model": 0.1}, lambda step: None)])])


def test_gradients_are_clipped_to_the_norm_that_compute_has():
    seen = []

    class Norms(Hook):
        def after_step(self, loop):
            parameters = loop.modules["model"].parameters()
            seen.append(torch.cat([each.grad.flatten() for each in parameters]).norm().item())

    run([stage("s", 3)], [Norms()], compute=Compute(max_gradient_norm=0.01))
    assert seen == pytest.approx([0.01] * 3, rel=1e-3)


def searched(seed=0):
    """A network that mixes two operations by architecture parameters of its own."""
    torch.manual_seed(seed)
    operations = nn.ModuleList([nn.Linear(3, 1), nn.Linear(3, 1)])
    return {"weights": operations, "architecture": nn.ParameterList([torch.zeros(2)])}


def bilevel(modules):
    """First-order DARTS: weights learn on one half of the data, the architecture on the other."""

    def forward(x):
        share = modules["architecture"][0].softmax(0)
        return sum(s * operation(x) for s, operation in zip(share, modules["weights"], strict=True))

    def loss(half):
        def of(step):
            x, y = (part[half] for part in batch("search", step))
            error = (forward(x) - y).square().mean()
            return StepLoss(error, error.detach(), -error.detach())

        return of

    return [
        Update({"weights": 0.05}, loss(slice(0, 4)), optimizer=torch.optim.SGD),
        Update({"architecture": 0.01}, loss(slice(4, 8)), weight_decay=1e-3),
    ]


def test_bilevel_search_alternates_two_optimizers():
    """By hand: in each step the weights move first, then the architecture, which sees the moved weights."""
    modules, by_hand = searched(), searched()
    loop = run([Stage("search", 4, bilevel)], modules=modules)
    assert [type(each) for each in loop.optimizers] == [torch.optim.SGD, torch.optim.AdamW]
    updates = bilevel(by_hand)
    optimizers = [
        torch.optim.SGD(by_hand["weights"].parameters(), lr=0.05),
        torch.optim.AdamW(by_hand["architecture"].parameters(), lr=0.01, weight_decay=1e-3),
    ]
    for step in range(4):
        for name, update, optimizer in zip(("weights", "architecture"), updates, optimizers, strict=True):
            optimizer.zero_grad()
            update.loss(step).total.backward()
            nn.utils.clip_grad_norm_(by_hand[name].parameters(), 5.0)
            optimizer.step()
    assert_equal(weights(modules), weights(by_hand))
    assert not torch.equal(modules["architecture"][0], torch.zeros(2))


STAGES = [stage("first", 4, schedule=cycle(0.3)), stage("second", 3, 0.01)]


@pytest.mark.parametrize("at", [("first", 1), ("first", 4), ("second", 2), ("second", 3)])
@pytest.mark.parametrize("make", ["plain", "dropout", "bilevel"])
def test_a_killed_run_resumes_to_the_very_same_weights(tmp_path, at, make):
    """Also with dropout, whose draws are of the step, and with two optimizers."""
    if make == "bilevel":
        modules, stages = searched, [Stage("first", 4, bilevel), Stage("second", 3, bilevel)]
    else:
        modules, stages = lambda: {"model": model(dropout=0.5 * (make == "dropout"))}, STAGES
    whole = run(stages, modules=modules())
    torch.manual_seed(7)
    killed(stages, [Checkpoints(tmp_path, 0.0, {})], at, modules=modules())
    torch.manual_seed(8)
    resumed = run(stages, modules=modules(), resumed=Checkpoint.load(tmp_path))
    assert_equal(weights(resumed.modules), weights(whole.modules))


def test_a_stage_may_replace_modules_and_a_resumed_run_does_so_too(tmp_path):
    """A network that grows between stages: here by another head."""

    def grow(modules):
        torch.manual_seed(3)
        modules["model"] = nn.Sequential(*list(modules["model"])[:3], nn.Linear(4, 2), nn.Linear(2, 1))

    stages = [stage("first", 3), Stage("wide", 3, STAGES[0].updates, grow), stage("last", 2)]
    whole = run(stages)
    for at in (("first", 2), ("wide", 1), ("last", 1)):
        killed(stages, [Checkpoints(tmp_path, 0.0, {})], at)
        resumed = run(stages, resumed=Checkpoint.load(tmp_path))
        assert_equal(weights(resumed.modules), weights(whole.modules))


def test_a_checkpoint_of_other_stages_or_modules_is_refused(tmp_path):
    killed(STAGES, [Checkpoints(tmp_path, 0.0, {})], ("first", 2))
    checkpoint = Checkpoint.load(tmp_path)
    with pytest.raises(InputError, match="the checkpoint belongs to stage 'first', this run has: other"):
        Loop({"model": model()}, [stage("other", 1)], resumed=checkpoint)
    for modules in ({"net": model()}, {"model": nn.Linear(1, 1)}):
        with pytest.raises(InputError, match="to other modules than this run's .*; start anew"):
            run(STAGES, modules=modules, resumed=checkpoint)


def test_time_goes_on_where_it_was(tmp_path):
    killed(STAGES, [Checkpoints(tmp_path, 0.0, {})], ("first", 2))
    before = Checkpoint.load(tmp_path).elapsed_s
    assert 0 < before <= run(STAGES, resumed=Checkpoint.load(tmp_path)).elapsed_s
