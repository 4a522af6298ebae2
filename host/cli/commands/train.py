"""`edgewright train` and `edgewright supernet evaluate`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError, Interrupted
from ...files import write_atomic
from ...workspace import Workspace
from ...workbench.data import domain_of, recipe_domain
from ..output import Output

if TYPE_CHECKING:
    from ...assembler.joint.recipe import Recipe

LIMITS = (0.03, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True)
class TrainOptions:
    """What `edgewright train` was asked to change of a recipe."""

    resume: bool = False
    seed: int | None = None
    pretrain_steps: int | None = None
    joint_steps: int | None = None
    ablations: tuple[str, ...] = ()

    def apply(self, recipe: Recipe) -> Recipe:
        changed = recipe.with_options(
            seed=self.seed, pretrain_steps=self.pretrain_steps, joint_steps=self.joint_steps
        )
        return changed.without(self.ablations)


def show(recipe_name: str) -> None:
    """The file as it is, on stdout: it is what a user copies."""
    from ...assembler.joint.recipe_files import load_recipe, recipe_path

    load_recipe(recipe_name)
    sys.stdout.write(recipe_path(recipe_name).read_text("utf-8"))


def train(
    recipe_name: str,
    out: Path | None,
    options: TrainOptions,
    data: Path | None,
    mnist_dir: Path | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    from ...assembler.joint.recipe_files import load_recipe

    recipe = options.apply(load_recipe(recipe_name))
    if out is None:
        raise InputError("train needs --out DIR, the folder to write the supernet to")
    from ...assembler.joint.train import train as run
    from ...training.loop import Progress
    from ...training.workers import is_first_process

    output = Output(as_json, silent=not is_first_process())
    domain = recipe_domain(recipe, Workspace.find(workspace), output, data, mnist_dir)
    try:
        with output.bar("starting") as bar:

            def show(at: Progress) -> None:
                note = f"loss {at.loss:.3f}, score {at.score:.1%}" if at.loss else ""
                bar.update(at.step, at.total, note, at.stage)

            trained = run(recipe, out, domain, resume=options.resume, on_progress=show)
    except KeyboardInterrupt as stop:
        raise Interrupted(f"stopped; `edgewright train {recipe_name} --out {out} --resume` goes on") from stop
    train_s = trained.facts["train_s"]
    output.say(f"{out}: supernet {trained.digest}, {train_s:.0f} s; metrics.csv and curve.html beside it")
    output.done({"supernet": str(out), "digest": trained.digest, "train_s": train_s, "recipe": recipe.to_json()})


def evaluate(
    supernet: Path | None,
    images: int,
    seed: int,
    card_path: Path | None,
    data: Path | None,
    mnist_dir: Path | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    from ...assembler.archive import TrainedSupernet
    from ...assembler.scoring import evaluate_tasks
    from ...report.card import card
    from ...shipped import find_supernet

    output = Output(as_json)
    trained = TrainedSupernet.load(find_supernet(supernet))
    domain = domain_of(trained, Workspace.find(workspace), output, data, mnist_dir)
    with output.bar("tasks") as bar:
        rows = evaluate_tasks(trained, domain, domain.tasks, LIMITS, images, seed, bar.update)
    summary = [_summary(limit, [row for row in rows if row.limit == limit]) for limit in LIMITS]
    output.grid(list(summary[0]), [[_cell(value) for value in row.values()] for row in summary])
    worst = sorted((row for row in rows if row.limit == 0.2), key=lambda row: row.accuracy)[:5]
    output.say("lowest at 20 %: " + "; ".join(f"{row.task} {row.accuracy:.1%}" for row in worst))
    if card_path is not None:
        write_atomic(card_path, card(trained, domain, rows, summary, images, seed).encode())
        output.say(f"card: {card_path}")
    tasks = [vars(row) for row in rows]
    output.done({"digest": trained.digest, "images": images, "seed": seed, "summary": summary, "tasks": tasks})


def _summary(limit: float, rows: list[Any]) -> dict[str, float]:
    import numpy as np

    trained = [row.accuracy for row in rows if not row.held_out]
    held_out = [row.accuracy for row in rows if row.held_out]
    return {
        "limit": limit,
        "trained_mean": float(np.mean(trained)),
        "trained_min": min(trained),
        "held_out_mean": float(np.mean(held_out)),
        "held_out_min": min(held_out),
        "ratio_mean": float(np.mean([row.ratio for row in rows])),
        "ratio_max": max(row.ratio for row in rows),
    }


def _cell(value: float) -> str:
    return f"{value:.1%}"
