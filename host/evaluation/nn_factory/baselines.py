"""Retrain and Prune&Tune as models on this machine: each trained once, kept, and pruned to a measured budget.

Every model is a safetensors file in the evaluation's folder, with a name that says what it is; a rerun finds it there.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ...assembler.joint.recipe import JointRecipe
from ...costs import Budget, Cost
from ...files import make_dir, write_atomic
from ...pruning.structured import pruned, with_new_head
from ...supernet.backbones import build_backbone
from ...tasks import Task
from ...training.fit import Fit, Fitted, UntilFlat, fit_all, fit_task
from ...training.objective import Objective
from ...training.warm_start import start_from
from ..result_table import file_stem

_CLOSE = 0.03  # of the budget

Measure = Callable[[nn.Module], Cost]


@dataclass(frozen=True)
class Job:
    """A model to train for a task (None: for what all tasks ask about), and the name that it is kept under."""

    name: str
    model: nn.Module
    task: Task | None


@dataclass(frozen=True)
class Cut:
    """The unified model without `lost` of its channels; `seconds` is what finding that share took."""

    model: nn.Module
    lost: float
    seconds: float


@dataclass(frozen=True)
class Baselines:
    """What the baselines share: the recipe's backbone and data, the folder that keeps what was trained, and how many
    models are trained side by side."""

    folder: Path
    recipe: JointRecipe
    objective: Objective
    until: UntilFlat
    prune_tries: int = 8
    workers: int = 1

    @property
    def example(self) -> Tensor:
        return torch.zeros(1, *self.recipe.backbone.image_shape)

    def retrain(self, task: Task) -> Job:
        """The recipe's architecture, of full size, for one task from the weights that the supernet started from."""
        return Job(f"retrain, {task}", self._backbone(self.objective.n_outputs), task)

    def retrain_like(self, subnet: nn.Module, task: Task, name: str) -> Job:
        """The architecture of a generated subnet, for one task from random weights: at equal latency."""
        return Job(f"retrain-equal, {task}, {name}", _reset(subnet, self.recipe.training.seed), task)

    def unified(self) -> Job:
        """One model that knows what all tasks ask about."""
        return Job("unified", self._backbone(self.objective.n_pretrain_outputs), None)

    def tune(self, cut: Cut, task: Task) -> Job:
        """A pruned model, to be tuned to one task."""
        return Job(f"prune-tune, {task}, {cut.lost:.6f}", copy.deepcopy(cut.model), task)

    def find_cut(self, unified: nn.Module, budget: Budget, measure: Measure) -> tuple[float | None, float]:
        """The least share of channels to prune for a budget, by bisection on the device, and the seconds it took; None
        when even the smallest model is over."""
        started = time.perf_counter()
        least, most, best = 0.0, 0.98, None
        for _ in range(self.prune_tries):
            share = (least + most) / 2
            used = max(budget.shares(measure(self.cut(unified, share).model)).values())
            if used > 1:
                least = share
                continue
            most = best = share
            if used > 1 - _CLOSE:
                break
        return best, time.perf_counter() - started

    def cut(self, unified: nn.Module, lost: float, seconds: float = 0.0) -> Cut:
        model = pruned(unified, self.example, lost)
        torch.manual_seed(self.recipe.training.seed)
        return Cut(with_new_head(model, self.objective.n_outputs).eval(), lost, seconds)

    def train(self, jobs: Sequence[Job], tell: Callable[[str], None]) -> None:
        """Those that are not kept yet, `workers` at once, each on its share of the cores."""
        from joblib import Parallel, delayed

        missing = [job for job in jobs if not self._note(job).exists()]
        n_workers = min(self.workers, len(missing))
        if n_workers <= 1:
            for done, job in enumerate(missing):
                tell(f"training {job.name} ({done + 1} of {len(missing)})")
                self._train(job)
            return
        tell(f"training {len(missing)} models, {n_workers} at once")
        n_threads = max(1, (os.cpu_count() or 1) // n_workers)
        run = Parallel(n_jobs=n_workers, return_as="generator_unordered")
        for done, name in enumerate(run(delayed(_train_beside)(self, job, n_threads) for job in missing), 1):
            tell(f"trained {name} ({done} of {len(missing)})")

    def fitted(self, job: Job) -> Fitted:
        """A job's result from the folder."""
        from safetensors.torch import load

        job.model.load_state_dict(load(self._weights(job).read_bytes()))
        return Fitted(job.model.eval(), **json.loads(self._note(job).read_bytes()))

    def _train(self, job: Job) -> None:
        """The note comes last, so that it says all is there."""
        from safetensors.torch import save

        unfinished = self._weights(job).with_suffix("")
        fit = Fit(self.recipe.sampling, self.recipe.training, self.until, unfinished)
        if job.task is None:
            fitted = fit_all(job.model, self.objective, fit)
        else:
            fitted = fit_task(job.model, job.task, self.objective, fit)
        state = {key: value.contiguous() for key, value in fitted.model.state_dict().items()}
        make_dir(self._weights(job).parent)
        write_atomic(self._weights(job), save(state))
        facts = {key: value for key, value in vars(fitted).items() if key != "model"}
        write_atomic(self._note(job), json.dumps(facts).encode())
        shutil.rmtree(unfinished, ignore_errors=True)

    def _weights(self, job: Job) -> Path:
        return self.folder / "models" / f"{file_stem(job.name)}.safetensors"

    def _note(self, job: Job) -> Path:
        return self._weights(job).with_suffix(".json")

    def _backbone(self, num_classes: int) -> nn.Module:
        torch.manual_seed(self.recipe.training.seed)  # timm initialises from the global generator only
        backbone = self.recipe.backbone
        model = build_backbone(backbone.name, {**backbone.arguments, "num_classes": num_classes})
        if self.recipe.start:
            start_from(model, self.recipe.start)
        return model


def _train_beside(baselines: Baselines, job: Job, n_threads: int) -> str:
    """In a process of its own."""
    torch.set_num_threads(n_threads)
    baselines._train(job)
    return job.name


def _reset(model: nn.Module, seed: int) -> nn.Module:
    """Fresh weights in the same architecture: by each layer's own way, and timm's for tokens and positions."""
    torch.manual_seed(seed)
    for part in model.modules():
        reset = getattr(part, "reset_parameters", None)
        if callable(reset):
            reset()
            continue
        for own in part.parameters(recurse=False):
            nn.init.trunc_normal_(own, std=0.02)
    return model.train()
