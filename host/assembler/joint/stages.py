"""The stages of joint training, for the loop: which modules learn what, on which batches, under which gates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import cast

import torch
from torch import Tensor, nn

from ...supernet.backbones import build_backbone
from ...supernet.supernet import Supernet, modularize
from ...training.ahead import Ahead
from ...training.compute import Compute
from ...training.loop import Modules, Stage, StepLoss, Update
from ...training.objective import Batch, BatchSource, Drawn, Objective
from ...training.rng import CALIBRATE, JOINT, PRETRAIN, TUNE, sent, step_rng
from ...training.schedule import cycle, ramp
from ...training.warm_start import start_from
from ...training.workers import Workers
from ..assembler import Assembler
from .losses import JointLoss, JointNoise, PretrainLoss, calibrate_step, random_gates, reset_batch_norm
from .recipe import JointRecipe

SUPERNET, ASSEMBLER = "supernet", "assembler"
"""The names of the modules."""

_NOISE = 1_000_000_000  # apart from the steps that batches are drawn for


def supernet_of(modules: Modules) -> Supernet:
    return cast(Supernet, modules[SUPERNET])


def assembler_of(modules: Modules) -> Assembler:
    return cast(Assembler, modules[ASSEMBLER])


@dataclass(frozen=True)
class JointStages:
    """What one process of a run trains, and how."""

    recipe: JointRecipe
    objective: Objective
    workers: Workers = Workers()
    ahead: Ahead = field(default_factory=Ahead)

    @cached_property
    def compute(self) -> Compute:
        return self.recipe.training.compute(self.workers.device)

    @cached_property
    def source(self) -> BatchSource:
        return self.objective.source(self.recipe.sampling)

    def modules(self) -> Modules:
        """As they are before the first stage."""
        supernet = self.new_supernet(self.objective.n_pretrain_outputs)
        assembler = Assembler(self.objective.domain.space, supernet.space, self.recipe.assembler)
        return {SUPERNET: supernet, ASSEMBLER: self.compute.to_device(assembler)}

    def stages(self) -> list[Stage]:
        recipe = self.recipe
        tuning = [Stage(TUNE, recipe.tune_steps, self._tune)] if recipe.tune_steps else []
        calibration = [Stage(CALIBRATE, recipe.calibrate_steps, self._calibrate, self._prepare_calibration)]
        return [
            Stage(PRETRAIN, recipe.pretrain_steps, self._pretrain),
            Stage(JOINT, recipe.joint_steps, self._joint, self._give_new_head),
            *tuning,
            *(calibration if recipe.calibrate_steps else []),
        ]

    def new_supernet(self, num_classes: int | None = None) -> Supernet:
        """An untrained supernet; `num_classes` replaces the recipe's."""
        backbone, seed = self.recipe.backbone, self.recipe.training.seed
        torch.manual_seed(seed)  # timm and torch initialise weights from the global generator only
        head = {} if num_classes is None else {"num_classes": num_classes}
        example = torch.randn(2, *backbone.image_shape, generator=torch.Generator().manual_seed(seed))
        module = build_backbone(backbone.name, {**backbone.arguments, **head})
        if self.recipe.start:
            start_from(module, self.recipe.start)
        supernet = modularize(module, example, backbone.policy, whole_axes=backbone.whole_axes)
        self.compute.to_device(supernet)
        return supernet

    def _give_new_head(self, modules: Modules) -> None:
        """The recipe's own supernet with every pre-trained tensor that fits; what differs in shape is the head."""
        pretrained, supernet = supernet_of(modules), self.new_supernet()
        own = supernet.backbone.state_dict()
        fitting = {n: t for n, t in pretrained.backbone.state_dict().items() if own[n].shape == t.shape}
        supernet.backbone.load_state_dict(own | fitting)
        modules[SUPERNET] = supernet

    def _pretrain(self, modules: Modules) -> list[Update]:
        recipe, supernet = self.recipe, supernet_of(modules)
        loss = self.workers.wrap(PretrainLoss(supernet, self.objective, self.compute))

        def draw(step: int) -> tuple[Drawn, Tensor]:
            _, generator = step_rng(recipe.training.seed, PRETRAIN, _NOISE + step)
            n = recipe.training.batch_size
            gates = random_gates(n, supernet.space, recipe.pretrain_min_ratio, generator)  # (B, N)
            return self._draw(PRETRAIN, step), gates[self._part]

        def finish(drawn: tuple[Drawn, Tensor]) -> tuple[Batch, Tensor]:
            return self._finish(drawn[0]), sent(drawn[1], self.workers.device)

        inputs = self.ahead.steps(draw, finish, recipe.pretrain_steps)

        def learn(step: int) -> StepLoss:
            return _called(loss, *inputs(step))

        return [self._update({SUPERNET: recipe.pretrain_lr}, learn)]

    def _joint(self, modules: Modules) -> list[Update]:
        recipe = self.recipe

        def weight(step: int) -> float:
            return recipe.gate_loss_weight * ramp(step, recipe.joint_steps, recipe.gate_loss_ramp_share)

        return [self._together(modules, JOINT, recipe.joint_steps, 1.0, recipe.keep_limits, weight)]

    def _tune(self, modules: Modules) -> list[Update]:
        """A second, shorter and slower joint stage, with gates as they are deployed."""
        recipe = self.recipe
        return [
            self._together(
                modules, TUNE, recipe.tune_steps, recipe.tune_lr_share, True, lambda step: recipe.gate_loss_weight
            )
        ]

    def _together(
        self,
        modules: Modules,
        stage: str,
        n_steps: int,
        lr_share: float,
        keep_limits: bool,
        gate_weight: Callable[[int], float],
    ) -> Update:
        """Backbone and assembler, on questions."""
        recipe, supernet = self.recipe, supernet_of(modules)
        loss = self.workers.wrap(
            JointLoss(supernet, assembler_of(modules), self.objective, self.compute, keep_limits)
        )

        def draw(step: int) -> tuple[JointNoise, Drawn, Drawn | None]:
            _, generator = step_rng(recipe.training.seed, stage, _NOISE + step)
            n = recipe.training.batch_size
            noise = JointNoise.draw(n, supernet.space, recipe.semhash_noise, generator)
            return noise.of(self._part), *self._draw_both(stage, step)

        def finish(drawn: tuple[JointNoise, Drawn, Drawn | None]) -> tuple[JointNoise, Batch, Batch | None]:
            return drawn[0].to(self.workers.device), *self._finish_both(drawn[1:])

        inputs = self.ahead.steps(draw, finish, n_steps)

        def learn(step: int) -> StepLoss:
            noise, batch, whole = inputs(step)
            return _called(loss, batch, noise, gate_weight(step), whole)

        return self._update({SUPERNET: lr_share * recipe.backbone_lr, ASSEMBLER: lr_share * recipe.assembler_lr}, learn)

    def _prepare_calibration(self, modules: Modules) -> None:
        reset_batch_norm(supernet_of(modules).backbone)
        modules[SUPERNET].train()
        modules[ASSEMBLER].eval()

    def _calibrate(self, modules: Modules) -> list[Update]:
        """Nothing learns: batch norm collects statistics of subnets as they are deployed."""

        batches = self.ahead.steps(
            lambda step: self._draw_both(CALIBRATE, step), self._finish_both, self.recipe.calibrate_steps
        )

        def look(step: int) -> None:
            batch, whole = batches(step)
            calibrate_step(supernet_of(modules), assembler_of(modules), batch, self.compute, whole)

        return [Update({}, look)]

    def _update(self, rates: dict[str, float], learn: Callable[[int], StepLoss]) -> Update:
        settings = self.recipe.training
        return Update(rates, learn, cycle(settings.warmup_share), settings.weight_decay)

    @property
    def _part(self) -> slice:
        return self.workers.part(self.recipe.training.batch_size)

    def _draw(self, stage: str, step: int) -> Drawn:
        """This process's part of a step's batch."""
        return self.source.draw(stage, step, self._part)

    def _draw_both(self, stage: str, step: int) -> tuple[Drawn, Drawn | None]:
        """And the samples that see all gates open."""
        n_open = round(self.recipe.open_share * self.recipe.training.batch_size)
        whole = self.source.draw(PRETRAIN, self._before[stage] + step, self.workers.part(n_open)) if n_open else None
        return self._draw(stage, step), whole

    def _finish_both(self, drawn: tuple[Drawn, Drawn | None]) -> tuple[Batch, Batch | None]:
        return self._finish(drawn[0]), None if drawn[1] is None else self._finish(drawn[1])

    @cached_property
    def _before(self) -> dict[str, int]:
        """How many steps come before each stage."""
        recipe = self.recipe
        steps = (0, recipe.pretrain_steps, recipe.joint_steps, recipe.tune_steps)
        return dict(zip((PRETRAIN, JOINT, TUNE, CALIBRATE), accumulate(steps), strict=True))

    def _finish(self, drawn: Drawn) -> Batch:
        return drawn.to(self.workers.device, self.compute.dtype)


def _called(loss: nn.Module, *inputs: object) -> StepLoss:
    found: StepLoss = loss(*inputs)
    return found
