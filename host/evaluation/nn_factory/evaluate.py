"""Runs all experiments into one folder, in an order that shows results early. A rerun continues where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from ...assembler.archive import TrainedSupernet
from ...errors import InputError
from ...files import make_dir, write_atomic
from ...tasks.domain import TaskDomain
from .accuracy import measure_accuracy, measure_similarity
from .markdown import render_markdown
from .options import Options, Say
from .page import render
from .scenarios import run_scenarios

Part = Literal["accuracy", "similarity", "scenarios"]
PARTS: tuple[Part, ...] = get_args(Part)
PAGE, TABLES = "index.html", "README.md"


def evaluate(folder: Path, domain: TaskDomain, options: Options, parts: tuple[str, ...], say: Say) -> Path:
    """Run the named parts (all when none is) and write the page; returns its path.

    Raises `InputError` for an unknown part and for a supernet of another domain, and what measuring here raises.
    """
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise InputError(f"unknown part {unknown[0]!r}; there are: {', '.join(PARTS)}")
    supernets = {name: TrainedSupernet.load(path) for name, path in options.supernets.items()}
    for name, trained in supernets.items():
        if trained.tasks != domain.space:
            raise InputError(f"supernet {name!r} was trained for other tasks than {domain.name}'s; leave it out")
    make_dir(folder)
    wanted = parts or PARTS
    for name, trained in supernets.items():
        if "accuracy" in wanted:
            measure_accuracy(folder, name, trained, domain, options, say)
    if "similarity" in wanted:
        measure_similarity(folder, supernets, domain)
    _write(folder, domain, options)
    if "scenarios" in wanted:
        run_scenarios(folder, next(iter(supernets.values())), domain, options, say)
        _write(folder, domain, options)
    return folder / PAGE


def _write(folder: Path, domain: TaskDomain, options: Options) -> None:
    write_atomic(folder / PAGE, render(folder, domain, options))
    write_atomic(folder / TABLES, render_markdown(folder, domain, options))
