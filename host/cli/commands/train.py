"""`edgewright train`: train a supernet and its assembler by a recipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InputError, Interrupted
from ..options import DataDir, Json, MnistDir, WorkspaceDir
from ..output import Bar, Output

if TYPE_CHECKING:
    from ...training.hooks import Progress

_SHOW_EVERY_S = 0.5  # reading a loss is waiting for the GPU


def train(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe, such as numvqa-resnet, or a .toml file.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write the supernet to.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Only print the recipe, as a start for your own.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    seed: Annotated[int | None, typer.Option(help="Default: the recipe's.")] = None,
    pretrain_steps: Annotated[int | None, typer.Option(help="Default: the recipe's.")] = None,
    joint_steps: Annotated[int | None, typer.Option(help="Default: the recipe's.")] = None,
    ablate: Annotated[list[str] | None, typer.Option(help="Leave a part of the method out; may be repeated.")] = None,
    data: DataDir = None,
    mnist_dir: MnistDir = None,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Train a supernet and its assembler. Start it with `torchrun` to use several GPUs or processes."""
    from ...assembler.joint.recipe_files import load_recipe, recipe_path

    asked = load_recipe(recipe)
    if show:  # the file as it is, on stdout: it is what a user copies
        sys.stdout.write(recipe_path(recipe).read_text("utf-8"))
        return
    asked = asked.with_options(seed=seed, pretrain_steps=pretrain_steps, joint_steps=joint_steps)
    asked = asked.without(tuple(ablate or ()))
    if out is None:
        raise InputError("train needs --out DIR, the folder to write the supernet to")
    from ...training.workers import is_first_process
    from ...workbench.workbench import Workbench

    output = Output(json_, silent=not is_first_process())
    try:
        with Workbench(workspace, output.say) as bench:
            domain = bench.domain(asked, data, mnist_dir)
            with output.bar("starting") as bar:
                trained = bench.train(asked, out, resume=resume, domain=domain, on_progress=_shown_on(bar))
    except KeyboardInterrupt as stop:
        raise Interrupted(f"stopped; `edgewright train {recipe} --out {out} --resume` continues") from stop
    train_s = trained.facts["train_s"]
    output.say(f"{out}: supernet {trained.digest}, {train_s:.0f} s; metrics.csv and curve.html are beside it")
    output.done({"supernet": str(out), "digest": trained.digest, "train_s": train_s, "recipe": trained.facts["recipe"]})


def _shown_on(bar: Bar) -> Callable[[Progress], None]:
    """Shows twice a second, and at the end of a stage, how far training is."""
    shown_s = 0.0

    def show(at: Progress) -> None:
        nonlocal shown_s
        if at.step == at.total or time.monotonic() - shown_s >= _SHOW_EVERY_S:
            shown_s = time.monotonic()
            loss, score = at.loss, at.score
            note = "" if loss is None or score is None else f"loss {loss:.3f}, score {score:.1%}"
            bar.update(at.step, at.total, note, at.stage)

    return show
