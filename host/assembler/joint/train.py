"""From a recipe to a trained supernet: pre-train, train jointly, tune, calibrate, save. Resumable after a kill.

Under `torchrun` several processes train together; all need the folder, and the first writes it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from ...errors import InputError
from ...files import make_dir
from ...supernet.outputs import linear_classifier
from ...tasks.domain import TaskDomain
from ...training.averaging import Averaging
from ...training.checkpoint import Checkpoint
from ...training.evaluation import Evaluation, Quality
from ...training.hooks import Checkpoints, EarlyStop, Progress, Reports
from ...training.loop import Hook, Loop, Modules
from ...training.metrics import Metrics
from ...training.objective import Objective
from ...training.rng import JOINT, TUNE
from ...training.workers import joined
from ..archive import FACTS, TrainedSupernet
from ..scoring import validation_score
from .losses import GATE_LOSS, RATIO
from .recipe import JointRecipe
from .stages import ASSEMBLER, SUPERNET, JointStages, assembler_of, supernet_of
from .upgrade import upgraded_checkpoint

VALIDATION_LIMIT = 0.2


def train(
    recipe: JointRecipe,
    folder: Path,
    domain: TaskDomain,
    *,
    resume: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> TrainedSupernet:
    """Train `recipe` and write the supernet to `folder`; with a checkpoint every now and then.

    With `resume` a run that was killed continues from its last checkpoint, with the recipe it was started with. Raises
    `InputError` when there is something in the folder and `resume` is not set, or nothing to resume, and when the
    domain is not the recipe's.
    """
    checkpoint = _find_checkpoint(folder, resume)
    recipe = JointRecipe.from_json(checkpoint.settings["recipe"]) if checkpoint else recipe
    if domain.name != recipe.domain.name:
        raise InputError(f"recipe {recipe.name!r} is for domain {recipe.domain.name!r}, not for {domain.name!r}")
    objective = recipe.domain.kind.objective(domain, recipe.domain.settings)
    recipe = recipe.with_outputs(objective.n_outputs)
    _check_open_share(recipe, objective)
    with joined(recipe.training.device) as workers, recipe.training.ahead(workers.device) as ahead:
        workers.part(recipe.training.batch_size)
        plan = JointStages(recipe, objective, workers, ahead)
        modules = plan.modules()
        _check_outputs(modules, domain)
        make_dir(folder)
        evaluation, metrics = _evaluation(recipe, objective), Metrics(folder, more=[GATE_LOSS, RATIO])
        hooks = _hooks(recipe, folder, evaluation, metrics, on_progress)
        loop = Loop(modules, plan.stages(), hooks, plan.compute, workers, recipe.training.seed, checkpoint)
        loop.run()
        trained = _trained(recipe, objective, loop, evaluation)
        if workers.is_first:
            trained.save(folder)
            Checkpoint.remove(folder)
            metrics.log.draw_curve(JOINT)
        return trained


def _find_checkpoint(folder: Path, resume: bool) -> Checkpoint | None:
    there = Checkpoint.exists(folder)
    if there and not resume:
        raise InputError(f"{folder} holds an unfinished run; continue it with `resume`, or choose another folder")
    if (folder / FACTS).exists():
        raise InputError(f"{folder} already holds a trained supernet; choose another folder")
    if resume and not there:
        raise InputError(f"there is no checkpoint in {folder} to resume; start without `resume`")
    return Checkpoint.load(folder, upgraded_checkpoint) if resume else None


def _check_open_share(recipe: JointRecipe, objective: Objective) -> None:
    given, needed = objective.n_outputs, objective.n_pretrain_outputs
    if recipe.open_share and given != needed:
        raise InputError(
            f"recipe {recipe.name!r} sets `open_share`, but its tasks are answered by {given} outputs, and "
            f"pre-training by {needed}; leave it out"
        )


def _check_outputs(modules: Modules, domain: TaskDomain) -> None:
    """Before hours of training: whether models for single tasks can be cut out of the supernet."""
    if any(domain.outputs(task) is not None for task in domain.tasks):
        linear_classifier(supernet_of(modules).backbone)


def _evaluation(recipe: JointRecipe, objective: Objective) -> Evaluation:
    settings = recipe.training

    def judge(modules: Modules) -> Quality:
        trained = TrainedSupernet(supernet_of(modules), assembler_of(modules), objective.domain.space, {})
        return Quality(validation_score(trained, objective, VALIDATION_LIMIT, settings.seed))

    averaging = Averaging(settings.averaging) if settings.averaging else None
    return Evaluation(judge, settings.evaluate_every, [JOINT], averaging=averaging)


def _hooks(
    recipe: JointRecipe,
    folder: Path,
    evaluation: Evaluation,
    metrics: Metrics,
    on_progress: Callable[[Progress], None],
) -> list[Hook]:
    settings = recipe.training
    return [
        *([evaluation.averaging] if evaluation.averaging else []),
        evaluation,
        EarlyStop(evaluation, settings.patience, [JOINT, TUNE]),
        metrics,
        Checkpoints(folder, settings.checkpoint_every_s, {"recipe": recipe.to_json()}),
        Reports(on_progress),
    ]


def _trained(recipe: JointRecipe, objective: Objective, loop: Loop, evaluation: Evaluation) -> TrainedSupernet:
    for name in (SUPERNET, ASSEMBLER):
        loop.compute.deliver(loop.modules[name])
    facts = {
        "recipe": recipe.to_json(),
        "train_s": round(loop.elapsed_s, 1),
        "torch": torch.__version__,
        "processes": loop.workers.count,
        "device": loop.compute.device.type,
        "best_step": evaluation.best.step if evaluation.best else None,
    }
    supernet, assembler = supernet_of(loop.modules), assembler_of(loop.modules)
    return TrainedSupernet(supernet, assembler, objective.domain.space, facts)
