"""Evaluation during a run: keeps the best weights and delivers them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from torch import Tensor

from .averaging import Averaging, load
from .loop import Hook, Loop, Modules


class Quality(NamedTuple):
    """On validation images; the loss is None where only the score matters."""

    score: float
    loss: float | None = None


@dataclass(frozen=True)
class Best:
    """The weights of the best evaluation so far: that of `value`, by which evaluations are compared, and `score`."""

    step: int
    value: float
    score: float
    modules: dict[str, dict[str, Tensor]]


class Evaluation(Hook):
    """Evaluates every few steps of some stages; at a stage's end its best weights are back in the modules.

    Before the first evaluation the best weights are those that the stage began with.

    Args:
        evaluate: judges the modules. Only the first process evaluates; the others use its result.
        every: steps.
        stages: their names.
        by: "score" keeps the highest score (of equal ones, the latest); "loss" keeps the lowest loss (of equal ones,
            the first).
        at_end: whether to evaluate a stage's last step in any case.
        averaging: evaluate its averaged weights instead of the latest weights.
    """

    name = "evaluation"

    def __init__(
        self,
        evaluate: Callable[[Modules], Quality],
        every: int,
        stages: Sequence[str],
        by: Literal["score", "loss"] = "score",
        at_end: bool = True,
        averaging: Averaging | None = None,
    ) -> None:
        self.evaluate, self.every, self.stages, self.by = evaluate, every, tuple(stages), by
        self.at_end, self.averaging = at_end, averaging
        self.best: Best | None = None
        self.since_best = 0
        """Evaluations since the best one."""

    def before_stage(self, loop: Loop) -> None:
        if loop.stage.name in self.stages and loop.step == 0:
            worst = -math.inf if self.by == "score" else math.inf
            self.best, self.since_best = Best(0, worst, 0.0, _on_cpu(loop.modules)), 0

    def after_step(self, loop: Loop) -> None:
        if loop.stage.name not in self.stages:
            return
        if loop.step % self.every == 0 or (self.at_end and loop.ends):
            loop.validation = self._evaluate(loop)

    def after_stage(self, loop: Loop) -> None:
        if loop.stage.name in self.stages:
            self.return_to_best(loop)

    def return_to_best(self, loop: Loop) -> None:
        """Load the best weights, and restart the count of evaluations since."""
        self.since_best = 0
        if self.best is not None:
            load(loop.modules, self.best.modules)
            if self.averaging is not None:
                self.averaging.restart(loop.modules)

    def state_dict(self) -> dict[str, Any]:
        return {"best": None if self.best is None else vars(self.best), "since_best": self.since_best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best = None if state["best"] is None else Best(**state["best"])
        self.since_best = state["since_best"]

    def _evaluate(self, loop: Loop) -> float:
        if self.averaging is None:
            return self._judge(loop)
        with self.averaging.applied(loop.modules):
            return self._judge(loop)

    def _judge(self, loop: Loop) -> float:
        quality = self.evaluate(loop.modules) if loop.workers.is_first else Quality(0.0, 0.0)
        score = loop.workers.agreed(quality.score)
        value = score
        if self.by == "loss":
            if quality.loss is None:
                raise TypeError("an evaluation by loss needs a loss")
            value = loop.workers.agreed(quality.loss)
        self.since_best += 1
        if self.best is None or self._is_better(value, self.best.value):
            self.best, self.since_best = Best(loop.step, value, score, _on_cpu(loop.modules)), 0
        return score

    def _is_better(self, value: float, best: float) -> bool:
        return value >= best if self.by == "score" else value < best


def _on_cpu(modules: Modules) -> dict[str, dict[str, Tensor]]:
    """A copy of all their states."""
    return {
        name: {key: tensor.detach().cpu().clone() for key, tensor in module.state_dict().items()}
        for name, module in modules.items()
    }
