"""A plain module that learns a line, and the loop's parts around it: no supernet, no images."""

import pytest
import torch
from edgewright.training.hooks import Reports
from edgewright.training.loop import Loop, Stage, StepLoss, Update
from edgewright.training.rng import step_rng
from torch import nn

N = 8


class Killed(Exception):
    pass


def kill_at(stage, step):
    def on_progress(at):
        if (at.stage, at.step) == (stage, step):
            raise Killed

    return on_progress


def batch(stage, step, n=N):
    """Inputs `(B, 3)` and what a line makes of them, `(B, 1)`."""
    _, generator = step_rng(0, stage, step)
    x = torch.randn(n, 3, generator=generator)
    return x, x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.25


def model(seed=0, dropout=0.0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(dropout), nn.Linear(4, 1))


def mean_square(module, stage):
    def loss(step):
        x, y = batch(stage, step)
        error = (module(x) - y).square().mean()
        return StepLoss(error, error.detach(), -error.detach(), {"size": x.detach().abs().mean()})

    return loss


def stage(name, steps, lr=0.05, **changes):
    """A stage in which the module "model" learns."""
    return Stage(name, steps, lambda modules: [Update({"model": lr}, mean_square(modules["model"], name), **changes)])


def run(stages, hooks=(), modules=None, **more):
    loop = Loop(modules or {"model": model()}, stages, hooks, **more)
    loop.run()
    return loop


def weights(modules):
    states = {name: module.state_dict() for name, module in modules.items()}
    return {f"{name}.{key}": tensor.clone() for name, state in states.items() for key, tensor in state.items()}


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def killed(stages, hooks, at, **more):
    """A run that ends by an exception after step `at[1]` of stage `at[0]`."""
    with pytest.raises(Killed):
        run(stages, [*hooks, Reports(kill_at(*at))], **more)
