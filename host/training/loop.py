"""The training loop: named modules go through stages, and hooks see every moment of it.

A stage says how many steps it has and which modules learn in them. Everything else in a run (checkpoints, evaluation,
early stop) is a hook. Batches are functions of the step, so a run that was killed continues as the same run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..errors import InputError
from .checkpoint import Checkpoint
from .compute import Compute
from .rng import step_seed
from .schedule import Schedule, constant
from .workers import Workers

Modules = dict[str, nn.Module]


@dataclass(frozen=True)
class StepLoss:
    """Scalars of one step: the minimised loss, the task's part of it, and a score to watch a run by."""

    total: Tensor
    loss: Tensor
    score: Tensor
    more: Mapping[str, Tensor] = field(default_factory=dict)


class MakeOptimizer(Protocol):
    def __call__(self, groups: list[dict[str, Any]], /, *, weight_decay: float) -> torch.optim.Optimizer: ...


_FUSED = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)  # on a GPU, a few kernels in place of hundreds


@dataclass(frozen=True)
class Update:
    """One optimizer's share of every step of a stage.

    Attributes:
        rates: the peak learning rate of each module that learns, by its name. Without any the step is a forward pass,
            whose loss may be None.
        loss: of a step, given its number.
        schedule: the share of the peak learning rates at a step.
    """

    rates: Mapping[str, float]
    loss: Callable[[int], StepLoss | None]
    schedule: Schedule = constant
    weight_decay: float = 0.0
    optimizer: MakeOptimizer = torch.optim.AdamW


def _nothing(modules: Modules) -> None:
    pass


@dataclass(frozen=True)
class Stage:
    """Steps of one kind. Each does all updates, one after the other.

    Attributes:
        updates: made of the modules when the stage begins.
        prepare: changes the modules before the stage, such as a head for other outputs. A run that is resumed prepares
            all stages up to its own and then loads the weights, so that modules must come out the same in structure.
    """

    name: str
    steps: int
    updates: Callable[[Modules], Sequence[Update]]
    prepare: Callable[[Modules], None] = _nothing


class Hook:
    """What happens in a run besides learning; override the moments that matter.

    `name` tells hooks apart in a checkpoint: two of a kind in one run need different ones.
    """

    name = "hook"

    def before_stage(self, loop: Loop) -> None:
        """Also of a stage that is resumed: `loop.step` is then above 0, and the hook has its state."""

    def before_step(self, loop: Loop) -> None:
        """Learning rates are set."""

    def after_step(self, loop: Loop) -> None:
        """`loop.step` counts the step."""

    def after_stage(self, loop: Loop) -> None:
        pass

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to know: numbers, texts, tensors, and lists and dictionaries of them."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


class Loop:
    """One run: `modules` learn in `stages`, one after the other.

    Hooks are called in their order, at every moment. They may read all attributes, and end a stage by `stop`.

    Attributes:
        modules: by name; a stage may replace them.
        stage: the one that is running.
        step: how many of its steps are done.
        losses: what the latest step gave, one for each update.
        validation: the score of the evaluation after this step; None where there was none.
    """

    def __init__(
        self,
        modules: Modules,
        stages: Sequence[Stage],
        hooks: Sequence[Hook] = (),
        compute: Compute | None = None,
        workers: Workers | None = None,
        seed: int = 0,
        resumed: Checkpoint | None = None,
    ) -> None:
        """`seed` is for torch's global generator, which dropout uses; it is set again at every step.

        Raises `InputError` when `resumed` is of a stage that is not among `stages`.
        """
        self.modules, self.stages, self.hooks = modules, tuple(stages), tuple(hooks)
        self.compute, self.workers = compute or Compute(), workers or Workers()
        self.seed = seed
        self.stage = self.stages[0]
        self.step = 0
        self.losses: tuple[StepLoss | None, ...] = ()
        self.validation: float | None = None
        self._updates: tuple[Update, ...] = ()
        self._optimizers: tuple[torch.optim.Optimizer | None, ...] = ()
        self._stopped = False
        self._resumed = resumed
        self._first = self._index_of(resumed)
        self._started = time.monotonic() - (resumed.elapsed_s if resumed else 0.0)

    @property
    def elapsed_s(self) -> float:
        """Seconds of training, those before an interruption included."""
        return time.monotonic() - self._started

    @property
    def ends(self) -> bool:
        """Whether the stage has no more steps."""
        return self._stopped or self.step >= self.stage.steps

    @property
    def learning(self) -> tuple[str, ...]:
        """The names of the modules that learn in this stage."""
        return tuple(dict.fromkeys(name for update in self._updates for name in update.rates))

    @property
    def optimizers(self) -> tuple[torch.optim.Optimizer, ...]:
        """Of the updates that learn."""
        return tuple(optimizer for optimizer in self._optimizers if optimizer is not None)

    @property
    def rate_share(self) -> float:
        """The share of the peak learning rate at the latest step, of the first update."""
        return self._updates[0].schedule(max(0, self.step - 1), self.stage.steps)

    def stop(self) -> None:
        """No more steps of this stage."""
        self._stopped = True

    def run(self) -> None:
        """All stages, or those from the checkpoint on."""
        for index, stage in enumerate(self.stages):
            stage.prepare(self.modules)
            if index >= self._first:
                self._run_stage(stage, self._resumed if index == self._first else None)

    def checkpoint(self, settings: Mapping[str, Any]) -> Checkpoint:
        """The state of the run; `settings` are JSON stored with it."""
        return Checkpoint(
            stage=self.stage.name,
            step=self.step,
            elapsed_s=self.elapsed_s,
            modules={name: module.state_dict() for name, module in self.modules.items()},
            optimizers=[optimizer.state_dict() for optimizer in self.optimizers],
            hooks=self._hook_states(),
            settings=dict(settings),
        )

    def _hook_states(self) -> dict[str, dict[str, Any]]:
        states = [(hook.name, state) for hook in self.hooks if (state := hook.state_dict())]
        if len(states) > len(dict(states)):
            raise ValueError(f"hooks with a state need different names, got {', '.join(name for name, _ in states)}")
        return dict(states)

    def _index_of(self, resumed: Checkpoint | None) -> int:
        names = [stage.name for stage in self.stages]
        if resumed is None:
            return 0
        if resumed.stage not in names:
            raise InputError(f"the checkpoint belongs to stage {resumed.stage!r}, this run has: {', '.join(names)}")
        return names.index(resumed.stage)

    def _run_stage(self, stage: Stage, resumed: Checkpoint | None) -> None:
        self.stage, self.step, self._stopped = stage, 0, False
        if resumed is not None:
            self._load(resumed)
        self._updates = tuple(stage.updates(self.modules))
        self._optimizers = tuple(self._optimizer(update) for update in self._updates)
        if resumed is not None:
            self._take_up(resumed)
        for hook in self.hooks:
            hook.before_stage(self)
        while not self.ends:
            self._do_step()
        for hook in self.hooks:
            hook.after_stage(self)

    def _optimizer(self, update: Update) -> torch.optim.Optimizer | None:
        groups = [{"params": list(self.modules[name].parameters()), "lr": lr} for name, lr in update.rates.items()]
        if not groups:
            return None
        fused = {"fused": True} if self.compute.device.type == "cuda" and update.optimizer in _FUSED else {}
        return update.optimizer([{**group, **fused} for group in groups], weight_decay=update.weight_decay)

    def _load(self, resumed: Checkpoint) -> None:
        try:
            for name, module in self.modules.items():
                module.load_state_dict(resumed.modules[name])
        except (KeyError, RuntimeError) as error:
            reason = (str(error).splitlines() or ["?"])[0]
            raise InputError(
                f"the checkpoint belongs to other modules than this run's ({reason}); start anew"
            ) from error

    def _take_up(self, resumed: Checkpoint) -> None:
        self.step = resumed.step
        for optimizer, state in zip(self.optimizers, resumed.optimizers, strict=True):
            optimizer.load_state_dict(state)
        for hook in self.hooks:
            if hook.name in resumed.hooks:
                hook.load_state_dict(resumed.hooks[hook.name])

    def _do_step(self) -> None:
        self.validation = None
        for name in self.learning:
            self.modules[name].train()
        self._set_rates()
        torch.manual_seed(step_seed(self.seed, self.stage.name, self.step))
        for hook in self.hooks:
            hook.before_step(self)
        pairs = zip(self._updates, self._optimizers, strict=True)
        self.losses = tuple(self._learn(update, optimizer) for update, optimizer in pairs)
        self.step += 1
        for hook in self.hooks:
            hook.after_step(self)

    def _set_rates(self) -> None:
        for update, optimizer in zip(self._updates, self._optimizers, strict=True):
            if optimizer is not None:
                share = update.schedule(self.step, self.stage.steps)
                for group, peak in zip(optimizer.param_groups, update.rates.values(), strict=True):
                    group["lr"] = peak * share

    def _learn(self, update: Update, optimizer: torch.optim.Optimizer | None) -> StepLoss | None:
        with self.workers.synchronised():
            step_loss = update.loss(self.step)
            if optimizer is None:
                return step_loss
            if step_loss is None:
                raise TypeError(f"stage {self.stage.name!r} learns, but step {self.step} gave no loss")
            optimizer.zero_grad(set_to_none=True)
            step_loss.total.backward()  # type: ignore[no-untyped-call]
        self.compute.clip([each for group in optimizer.param_groups for each in group["params"]])
        optimizer.step()
        return step_loss
