"""`edgewright evaluate`: the paper's experiments on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError, Interrupted
from ...workspace import Workspace
from ...workbench.data import domain_of
from ..output import Output

SPACES = ("numvqa", "attrod")


@dataclass(frozen=True)
class EvaluateOptions:
    """What `edgewright evaluate` was asked for; empty lists mean all."""

    supernets: list[Path]
    parts: list[str]
    budgets: list[float]
    tasks: list[str]
    methods: list[str]
    images: int
    subnets: int
    workers: int | None


def evaluate(
    space: str,
    folder: Path,
    asked: EvaluateOptions,
    data: Path | None,
    mnist_dir: Path | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    if space not in SPACES:
        raise InputError(f"unknown task space {space!r}; there are: {', '.join(SPACES)}")
    from ...assembler.archive import TrainedSupernet
    from ...evaluation.nn_factory.evaluate import evaluate as run
    from ...evaluation.nn_factory.options import METHODS, Options, default_tasks
    from ...shipped import find_supernet, shipped_supernets

    output = Output(as_json)
    named = {path.name: find_supernet(path) for path in asked.supernets} or shipped_supernets(space)
    if not named:
        raise InputError(f"no supernet for {space} comes along; name one by --supernet DIR")
    domain = domain_of(
        TrainedSupernet.load(next(iter(named.values()))), Workspace.find(workspace), output, data, mnist_dir
    )
    if domain.name != space:
        raise InputError(f"{next(iter(named))} was trained for {domain.name}: edgewright evaluate {domain.name} DIR")
    options = Options(
        named,
        tuple(str(domain.space.parse(text)) for text in asked.tasks) or default_tasks(domain),
        tuple(asked.budgets) or Options.shares,
        n_images=asked.images,
        subnets=asked.subnets,
        workers=os.cpu_count() or 1 if asked.workers is None else asked.workers,
        methods=tuple(asked.methods) or METHODS,
    )
    try:
        with output.bar("evaluating") as bar:
            page = run(
                folder, domain, options, tuple(asked.parts), lambda what, done, total: bar.update(done, total, "", what)
            )
    except KeyboardInterrupt as stop:
        raise Interrupted("stopped; the same command goes on after what is finished") from stop
    output.say(f"{page}; the tables lie beside it as CSV")
    output.done({"page": str(page), "supernets": list(named)})
