"""From a recipe to a trained supernet: pre-train, train jointly, tune, calibrate, save. Resumable after a kill.

Under `torchrun` several processes do it together; all need the folder, the first writes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from ...errors import InputError
from ...files import make_dir
from ...supernet.backbones import build_backbone
from ...supernet.supernet import Supernet, modularize
from ...tasks.domain import TaskDomain
from ...training.checkpoint import FILE_NAME, Checkpoint
from ...training.loop import Progress, Run, Stage
from ...training.metrics import MetricsLog
from ...training.objective import Objective, objective_of
from ...training.rng import step_rng
from ...training.schedule import ramp
from ...training.warm_start import start_from
from ...training.workers import Workers, joined
from ..archive import TrainedSupernet
from ..assembler import Assembler
from .recipe import Recipe
from .stages import (
    JointLoss,
    JointNoise,
    Losses,
    PretrainLoss,
    calibrate_step,
    random_gates,
    reset_batch_norm,
)

_NOISE = 1_000_000_000  # apart from the steps that batches are drawn for


def train(
    recipe: Recipe,
    folder: Path,
    domain: TaskDomain,
    *,
    resume: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> TrainedSupernet:
    """Train `recipe` and write the supernet to `folder`; a checkpoint every `recipe.checkpoint_every_s` seconds.

    With `resume` a run that was killed goes on from its last checkpoint, with the recipe it was started with. Raises
    `InputError` when there is something in the folder and `resume` is not set, or nothing to resume.
    """
    checkpoint = _find_checkpoint(folder, resume)
    recipe = checkpoint.recipe if checkpoint else recipe
    with joined(recipe.device) as workers:
        make_dir(folder)
        run = _start(recipe, folder, objective_of(domain), workers, checkpoint, on_progress)
        if checkpoint is None or checkpoint.stage == "pretrain":
            _pretrain(run, checkpoint)
            run.supernet = _with_new_head(recipe, run.supernet, workers)
            checkpoint = None
        if checkpoint is None or checkpoint.stage == "joint":
            _joint(run, checkpoint)
            run.return_to_best()
            checkpoint = None
        _tune(run, checkpoint)
        _calibrate(run)
        return _finish(run)


def _find_checkpoint(folder: Path, resume: bool) -> Checkpoint | None:
    there = (folder / FILE_NAME).exists()
    if there and not resume:
        raise InputError(f"{folder} holds an unfinished run; continue it with --resume, or choose another folder")
    if (folder / "supernet.json").exists():
        raise InputError(f"{folder} already holds a trained supernet; choose another folder")
    if resume and not there:
        raise InputError(f"there is no checkpoint in {folder} to resume; start without --resume")
    return Checkpoint.load(folder) if resume else None


def _start(
    recipe: Recipe,
    folder: Path,
    objective: Objective,
    workers: Workers,
    checkpoint: Checkpoint | None,
    on_progress: Callable[[Progress], None],
) -> Run:
    workers.part(recipe.batch_size)
    pretraining = checkpoint is None or checkpoint.stage == "pretrain"
    supernet = _new_supernet(recipe, workers, objective.n_pretrain_outputs if pretraining else None)
    assembler = Assembler(objective.domain.space, supernet.space, recipe.assembler).to(workers.device, recipe.dtype)
    if checkpoint is not None:
        supernet.backbone.load_state_dict(checkpoint.backbone)
        assembler.load_state_dict(checkpoint.assembler)
    stage, steps_done = (checkpoint.stage, checkpoint.step) if checkpoint else ("pretrain", 0)
    log = MetricsLog.open(folder, stage, steps_done) if workers.is_first else None
    return Run(
        recipe, folder, objective, workers, objective.source(recipe), supernet, assembler, log, on_progress,
        elapsed_before_s=checkpoint.elapsed_s if checkpoint else 0.0,
        started=time.monotonic(),
        best=checkpoint.best if checkpoint else None,
        evaluations_since=checkpoint.evaluations_since if checkpoint else 0,
    )  # fmt: skip


def _new_supernet(recipe: Recipe, workers: Workers, num_classes: int | None = None) -> Supernet:
    """An untrained supernet; `num_classes` in place of the recipe's."""
    torch.manual_seed(recipe.seed)  # timm and torch initialise weights from the global generator only
    backbone = recipe.backbone
    arguments = dict(backbone.arguments) if num_classes is None else {**backbone.arguments, "num_classes": num_classes}
    example = torch.randn(2, *backbone.image_shape, generator=torch.Generator().manual_seed(recipe.seed))
    module = build_backbone(backbone.name, arguments)
    if recipe.start:
        start_from(module, recipe.start)
    supernet = modularize(module, example, backbone.policy, whole_axes=backbone.whole_axes)
    return supernet.to(workers.device, recipe.dtype).to(memory_format=torch.channels_last)


def _with_new_head(recipe: Recipe, pretrained: Supernet, workers: Workers) -> Supernet:
    """The recipe's own supernet with every pre-trained tensor that fits; what differs in shape is the head."""
    supernet = _new_supernet(recipe, workers)
    own = supernet.backbone.state_dict()
    fitting = {n: t for n, t in pretrained.backbone.state_dict().items() if own[n].shape == t.shape}
    supernet.backbone.load_state_dict(own | fitting)
    return supernet


def _pretrain(run: Run, checkpoint: Checkpoint | None) -> None:
    recipe, workers = run.recipe, run.workers
    loss = workers.wrap(PretrainLoss(run.supernet, run.objective, recipe))

    def losses(step: int) -> Losses:
        _, generator = step_rng(recipe.seed, "pretrain", _NOISE + step)
        gates = random_gates(recipe.batch_size, run.supernet.space, recipe.pretrain_min_ratio, generator)  # (B, N)
        mine = gates[workers.part(recipe.batch_size)].to(workers.device)
        found: Losses = loss(run.batch("pretrain", step), mine)
        return found

    parameters = [list(run.supernet.backbone.parameters())]
    run.learn(Stage("pretrain", recipe.pretrain_steps, parameters, [recipe.pretrain_lr], losses), checkpoint)


def _joint(run: Run, checkpoint: Checkpoint | None) -> None:
    recipe = run.recipe

    def weight(step: int) -> float:
        return recipe.gate_loss_weight * ramp(step, recipe.joint_steps, recipe.gate_loss_ramp_share)

    _learn_together(run, "joint", recipe.joint_steps, recipe, 1.0, weight, checkpoint)


def _tune(run: Run, checkpoint: Checkpoint | None) -> None:
    """The joint stage once more, shorter and slower, with gates as they are deployed."""
    recipe = replace(run.recipe, keep_limits=True)
    if recipe.tune_steps:
        share, weight = recipe.tune_lr_share, recipe.gate_loss_weight
        _learn_together(run, "tune", recipe.tune_steps, recipe, share, lambda step: weight, checkpoint)


def _learn_together(
    run: Run,
    name: str,
    steps: int,
    recipe: Recipe,
    lr_share: float,
    gate_weight: Callable[[int], float],
    checkpoint: Checkpoint | None,
) -> None:
    """Backbone and assembler, on questions."""
    workers = run.workers
    loss = workers.wrap(JointLoss(run.supernet, run.assembler, run.objective, recipe))

    def losses(step: int) -> Losses:
        _, generator = step_rng(recipe.seed, name, _NOISE + step)
        noise = JointNoise.draw(recipe.batch_size, run.supernet.space, recipe, generator)
        mine = noise.to(workers.device, workers.part(recipe.batch_size))
        found: Losses = loss(run.batch(name, step), mine, gate_weight(step))
        return found

    parameters = [list(run.supernet.backbone.parameters()), list(run.assembler.parameters())]
    lrs = [lr_share * recipe.backbone_lr, lr_share * recipe.assembler_lr]
    run.learn(Stage(name, steps, parameters, lrs, losses), checkpoint)


def _calibrate(run: Run) -> None:
    total = run.recipe.calibrate_steps
    if total == 0:
        return
    reset_batch_norm(run.supernet.backbone)
    run.supernet.train()
    run.assembler.eval()
    for step in range(total):
        with run.workers.synchronised():
            calibrate_step(run.supernet, run.assembler, run.batch("calibrate", step))
        if run.workers.is_first:
            run.on_progress(Progress("calibrate", step + 1, total, 0.0, 0.0))


def _finish(run: Run) -> TrainedSupernet:
    run.supernet.to("cpu", torch.float32).to(memory_format=torch.contiguous_format)
    facts = {
        "recipe": run.recipe.to_json(),
        "train_s": round(run.elapsed_s, 1),
        "torch": torch.__version__,
        "processes": run.workers.count,
        "device": run.workers.device.type,
        "best_step": run.best.step if run.best else None,
    }
    assembler = run.assembler.to("cpu", torch.float32).eval()
    trained = TrainedSupernet(run.supernet.eval(), assembler, run.objective.domain.space, facts)
    if run.workers.is_first:
        trained.save(run.folder)
        (run.folder / FILE_NAME).unlink(missing_ok=True)
    if run.log is not None:
        run.log.draw_curve()
    return trained
