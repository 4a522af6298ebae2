"""`edgewright evaluate`: the paper's experiments on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ...errors import InputError, Interrupted
from ..options import DataDir, Json, MnistDir, WorkspaceDir
from ..output import Output


def evaluate(
    space: Annotated[str, typer.Argument(metavar="TASKS", help="Which experiments: numvqa, attrod or images.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for tables, models and the page.")],
    supernet: Annotated[
        list[Path] | None, typer.Option(help="A trained supernet; may be repeated. Default: the shipped ones.")
    ] = None,
    part: Annotated[list[str] | None, typer.Option(help="accuracy, similarity or scenarios. Default: all.")] = None,
    images: Annotated[int, typer.Option(help="Test images per task.")] = 500,
    subnets: Annotated[int, typer.Option(help="Subnets of the campaign on this machine.")] = 300,
    budget: Annotated[
        list[float] | None, typer.Option(help="A budget as a share of the full model's cost; may be repeated.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help="A task of the scenarios; may be repeated.")] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="edgewright, retrain, retrain-equal or prune-tune. Default: all.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="How many baselines to train side by side. Default: one per core.")
    ] = None,
    data: DataDir = None,
    mnist_dir: MnistDir = None,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Repeat the paper's experiments on this machine: tables and one page. Takes hours; run it again to resume."""
    from ...assembler.archive import domain_of
    from ...domains.registry import DOMAINS
    from ...evaluation.nn_factory.evaluate import evaluate as run
    from ...evaluation.nn_factory.options import METHODS, Options, default_tasks
    from ...shipped import find_supernet, shipped_supernets
    from ...workbench.workbench import Workbench

    output = Output(json_)
    DOMAINS.get(space)
    shipped = {name: path for name, path in shipped_supernets().items() if domain_of(path) == space}
    named = {path.name: find_supernet(path) for path in supernet or []} or shipped
    if not named:
        raise InputError(f"no supernet for {space} is shipped; name one with --supernet DIR")
    first = next(iter(named))
    with Workbench(workspace, output.say) as bench:
        domain = bench.supernet(named[first], data=data, mnist=mnist_dir).domain
    if domain.name != space:
        raise InputError(f"{first} was trained for {domain.name}: edgewright evaluate {domain.name} DIR")
    options = Options(
        named,
        tuple(str(domain.space.parse(text)) for text in task or []) or default_tasks(domain),
        tuple(budget or []) or Options.shares,
        n_images=images,
        subnets=subnets,
        workers=os.cpu_count() or 1 if workers is None else workers,
        methods=tuple(method or []) or METHODS,
    )
    try:
        with output.bar("evaluating") as bar:
            page = run(
                folder, domain, options, tuple(part or []), lambda what, done, total: bar.update(done, total, "", what)
            )
    except KeyboardInterrupt as stop:
        raise Interrupted("stopped; run the same command again to continue") from stop
    output.say(f"{page}; the tables are beside it as CSV files")
    output.done({"page": str(page), "supernets": list(named)})
