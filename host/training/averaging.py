"""Averaged weights: an exponential moving average, often better and always steadier than the last step's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from .loop import Hook, Loop, Modules

State = dict[str, Tensor]


class Averaging(Hook):
    """Keeps the average of what learns in a stage, and leaves it in the modules at the stage's end.

    Buffers are averaged too, such as the statistics of batch norm; what counts (integers) is copied.

    Args:
        decay: the weight of the past at every step, in (0, 1).
    """

    name = "averaging"

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self._averages: dict[str, State] = {}

    def before_stage(self, loop: Loop) -> None:
        if loop.step == 0:
            self._averages = {name: copied(loop.modules[name]) for name in loop.learning}
            return
        for name, averages in self._averages.items():  # from a checkpoint, and so on the CPU
            there = loop.modules[name].state_dict()
            self._averages[name] = {key: tensor.to(there[key].device) for key, tensor in averages.items()}

    @torch.no_grad()
    def after_step(self, loop: Loop) -> None:
        for name, averages in self._averages.items():
            for key, now in loop.modules[name].state_dict().items():
                if now.is_floating_point():
                    averages[key].lerp_(now, 1.0 - self.decay)
                else:
                    averages[key].copy_(now)

    def after_stage(self, loop: Loop) -> None:
        load(loop.modules, self._averages)

    @contextlib.contextmanager
    def applied(self, modules: Modules) -> Iterator[None]:
        """In here the modules have the average; afterwards what they had."""
        latest = {name: copied(modules[name]) for name in self._averages}
        load(modules, self._averages)
        try:
            yield
        finally:
            load(modules, latest)

    def restart(self, modules: Modules) -> None:
        """From the weights as they are now."""
        self._averages = {name: copied(modules[name]) for name in self._averages}

    def state_dict(self) -> dict[str, Any]:
        return {"averages": self._averages}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._averages = state["averages"]


def copied(module: nn.Module) -> State:
    """A copy of the module's state, where the module is."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def load(modules: Modules, states: dict[str, State]) -> None:
    for name, state in states.items():
        modules[name].load_state_dict(state)
