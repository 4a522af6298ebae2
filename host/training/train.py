"""From a recipe to a trained supernet: pre-train, train jointly, calibrate, save. Resumable after a kill."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..assembler.archive import TrainedSupernet, build_backbone
from ..assembler.assembler import Assembler
from ..errors import InputError
from ..files import make_dir
from ..supernet.supernet import Supernet, modularize
from ..tasks import numvqa
from ..tasks.digits import DigitSplits
from .batches import BatchSource, step_rng
from .checkpoint import FILE_NAME, Checkpoint
from .evaluate import validation_accuracy
from .metrics import MetricsLog, MetricsRow
from .recipe import Recipe
from .schedule import one_cycle, ramp
from .stages import (
    N_COUNT_LOGITS,
    StepResult,
    calibrate_step,
    joint_step,
    pretrain_step,
    reset_batch_norm,
)

VALIDATION_LIMIT = 0.2


@dataclass(frozen=True)
class Progress:
    """Where a run is; given to the `on_progress` of `train` after every step."""

    stage: str
    step: int
    total: int
    loss: float
    accuracy: float


@dataclass
class _Run:
    """What one run holds while it runs."""

    recipe: Recipe
    folder: Path
    digits: DigitSplits
    source: BatchSource
    supernet: Supernet
    assembler: Assembler
    log: MetricsLog
    elapsed_before_s: float
    started: float
    on_progress: Callable[[Progress], None]

    @property
    def elapsed_s(self) -> float:
        return self.elapsed_before_s + time.monotonic() - self.started


def train(
    recipe: Recipe,
    folder: Path,
    digits: DigitSplits,
    *,
    resume: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> TrainedSupernet:
    """Train `recipe` and write the supernet to `folder`; a checkpoint every `recipe.checkpoint_every_s` seconds.

    With `resume` a run that was killed goes on from its last checkpoint, with the recipe it was started with. Raises
    `InputError` when there is something in the folder and `resume` is not set, or nothing to resume.
    """
    checkpoint = _find_checkpoint(recipe, folder, resume)
    make_dir(folder)
    run = _start(checkpoint.recipe if checkpoint else recipe, folder, digits, checkpoint, on_progress)
    if checkpoint is None or checkpoint.stage == "pretrain":
        _pretrain(run, checkpoint)
        run.supernet = _with_new_head(run.recipe, run.supernet)
        checkpoint = None
    _joint(run, checkpoint)
    _calibrate(run)
    return _finish(run)


def _find_checkpoint(recipe: Recipe, folder: Path, resume: bool) -> Checkpoint | None:
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
    digits: DigitSplits,
    checkpoint: Checkpoint | None,
    on_progress: Callable[[Progress], None],
) -> _Run:
    pretraining = checkpoint is None or checkpoint.stage == "pretrain"
    supernet = _new_supernet(recipe, N_COUNT_LOGITS if pretraining else None)
    assembler = Assembler(numvqa.SPACE, supernet.space, recipe.assembler)
    if checkpoint is not None:
        supernet.backbone.load_state_dict(checkpoint.backbone)
        assembler.load_state_dict(checkpoint.assembler)
    steps_done = checkpoint.step if checkpoint else 0
    log = MetricsLog.open(folder, checkpoint.stage if checkpoint else "pretrain", steps_done)
    source = BatchSource(recipe, digits.train)
    before_s = checkpoint.elapsed_s if checkpoint else 0.0
    return _Run(recipe, folder, digits, source, supernet, assembler, log, before_s, time.monotonic(), on_progress)


def _new_supernet(recipe: Recipe, num_classes: int | None = None) -> Supernet:
    """An untrained supernet; `num_classes` in place of the recipe's."""
    torch.manual_seed(recipe.seed)  # timm and torch initialise weights from the global generator only
    arguments = dict(recipe.backbone.arguments)
    if num_classes is not None:
        arguments["num_classes"] = num_classes
    example = torch.randn(2, *recipe.backbone.image_shape, generator=torch.Generator().manual_seed(recipe.seed))
    supernet = modularize(build_backbone(recipe.backbone.name, arguments), example, whole_axes=True)
    return supernet.to(memory_format=torch.channels_last)


def _with_new_head(recipe: Recipe, pretrained: Supernet) -> Supernet:
    """The recipe's own supernet with every pre-trained tensor that fits; what differs in shape is the head."""
    supernet = _new_supernet(recipe)
    own = supernet.backbone.state_dict()
    fitting = {n: t for n, t in pretrained.backbone.state_dict().items() if own[n].shape == t.shape}
    supernet.backbone.load_state_dict(own | fitting)
    return supernet


def _pretrain(run: _Run, checkpoint: Checkpoint | None) -> None:
    recipe = run.recipe
    optimizer = torch.optim.AdamW(run.supernet.backbone.parameters(), weight_decay=recipe.weight_decay)

    def step_fn(step: int) -> StepResult:
        _, generator = step_rng(recipe.seed, "pretrain", 1_000_000_000 + step)
        return pretrain_step(run.supernet, run.source.draw("pretrain", step), recipe, generator)

    _loop(run, "pretrain", recipe.pretrain_steps, optimizer, [recipe.pretrain_lr], step_fn, checkpoint)


def _joint(run: _Run, checkpoint: Checkpoint | None) -> None:
    recipe = run.recipe
    groups = [{"params": list(run.supernet.backbone.parameters())}, {"params": list(run.assembler.parameters())}]
    optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)

    def step_fn(step: int) -> StepResult:
        _, generator = step_rng(recipe.seed, "joint", 1_000_000_000 + step)
        weight = recipe.gate_loss_weight * ramp(step, recipe.joint_steps, recipe.gate_loss_ramp_share)
        return joint_step(run.supernet, run.assembler, run.source.draw("joint", step), recipe, weight, generator)

    lrs = [recipe.backbone_lr, recipe.assembler_lr]
    _loop(run, "joint", recipe.joint_steps, optimizer, lrs, step_fn, checkpoint)


def _loop(
    run: _Run,
    stage: str,
    total: int,
    optimizer: torch.optim.Optimizer,
    peak_lrs: list[float],
    step_fn: Callable[[int], StepResult],
    checkpoint: Checkpoint | None,
) -> None:
    """Steps of one stage, from where the checkpoint left off."""
    first = 0
    if checkpoint is not None:
        optimizer.load_state_dict(checkpoint.optimizer)
        first = checkpoint.step
    saved = time.monotonic()
    for step in range(first, total):
        run.supernet.train()
        run.assembler.train()
        factor = one_cycle(step, total, run.recipe.warmup_share)
        for group, peak in zip(optimizer.param_groups, peak_lrs, strict=True):
            group["lr"] = peak * factor
        result = step_fn(step)
        optimizer.zero_grad(set_to_none=True)
        result.loss.backward()  # type: ignore[no-untyped-call]
        _clip(optimizer)
        optimizer.step()
        _report(run, stage, step, total, result, factor)
        if time.monotonic() - saved > run.recipe.checkpoint_every_s or step + 1 == total:
            _checkpoint(run, stage, step + 1, optimizer.state_dict())
            saved = time.monotonic()


def _clip(optimizer: torch.optim.Optimizer) -> None:
    nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 5.0)


def _report(run: _Run, stage: str, step: int, total: int, result: StepResult, lr_factor: float) -> None:
    done = step + 1
    run.on_progress(Progress(stage, done, total, result.task_loss, result.accuracy))
    if done % 50 and done != total:
        return
    validation = None
    if stage == "joint" and (done % run.recipe.evaluate_every == 0 or done == total):
        trained = TrainedSupernet(run.supernet, run.assembler, numvqa.SPACE, {})
        validation = validation_accuracy(trained, run.digits.validation, VALIDATION_LIMIT, run.recipe.seed)
    run.log.add(
        MetricsRow(
            stage=stage,
            step=done,
            task_loss=result.task_loss,
            gate_loss=result.gate_loss,
            ratio=result.ratio,
            accuracy=result.accuracy,
            validation_accuracy=validation,
            lr_factor=lr_factor,
            elapsed_s=run.elapsed_s,
        )
    )


def _checkpoint(run: _Run, stage: str, step: int, optimizer: dict[str, Any]) -> None:
    backbone, assembler = run.supernet.backbone.state_dict(), run.assembler.state_dict()
    Checkpoint(run.recipe, stage, step, run.elapsed_s, backbone, assembler, optimizer).save(run.folder)


def _calibrate(run: _Run) -> None:
    reset_batch_norm(run.supernet.backbone)
    run.supernet.train()
    run.assembler.eval()
    for step in range(run.recipe.calibrate_steps):
        batch = run.source.draw("calibrate", step)
        images = batch.images.to(memory_format=torch.channels_last)
        calibrate_step(run.supernet, run.assembler, replace(batch, images=images), run.recipe)
        run.on_progress(Progress("calibrate", step + 1, run.recipe.calibrate_steps, 0.0, 0.0))


def _finish(run: _Run) -> TrainedSupernet:
    run.supernet.to(memory_format=torch.contiguous_format)
    facts = {"recipe": run.recipe.to_json(), "train_s": round(run.elapsed_s, 1), "torch": torch.__version__}
    trained = TrainedSupernet(run.supernet.eval(), run.assembler.eval(), numvqa.SPACE, facts)
    trained.save(run.folder)
    run.log.draw_curve()
    (run.folder / FILE_NAME).unlink(missing_ok=True)
    return trained
