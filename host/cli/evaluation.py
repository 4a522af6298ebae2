"""`edgewright evaluate`: the paper's experiments on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import InputError, Interrupted
from .output import Output

SPACES = ("numvqa",)


def evaluate(
    space: str,
    folder: Path,
    supernets: list[Path],
    parts: list[str],
    images: int,
    subnets: int,
    budgets: list[float],
    tasks: list[str],
    workers: int | None,
    mnist_dir: Path | None,
    as_json: bool,
) -> None:
    if space not in SPACES:
        raise InputError(f"unknown task space {space!r}; there are: {', '.join(SPACES)}")
    from ..evaluation.evaluate import evaluate_numvqa
    from ..evaluation.options import TASKS, Options
    from ..shipped import find_supernet, shipped_supernets
    from ..tasks import numvqa
    from ..tasks.digits import load_digits

    output = Output(as_json)
    named = {path.name: find_supernet(path) for path in supernets} or shipped_supernets()
    shares = tuple(budgets) or Options.shares
    asked = tuple(str(numvqa.SPACE.parse(text)) for text in tasks) or TASKS
    beside = os.cpu_count() or 1 if workers is None else workers
    options = Options(named, asked, shares, n_images=images, subnets=subnets, workers=beside)
    try:
        with output.bar("evaluating") as bar:
            page = evaluate_numvqa(
                folder, load_digits(mnist_dir), options, tuple(parts),
                lambda what, done, total: bar.update(done, total, "", what),
            )  # fmt: skip
    except KeyboardInterrupt as stop:
        raise Interrupted("stopped; the same command goes on after what is finished") from stop
    output.say(f"{page}; the tables lie beside it as CSV")
    output.done({"page": str(page), "supernets": list(named)})
