"""Runs all experiments into one folder, in an order that shows results early. A rerun continues where it stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

from ...assembler.archive import TrainedSupernet
from ...errors import InputError
from ...file_lock import file_lock
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
_GLANCE_S = 0.5


def evaluate(folder: Path, domain: TaskDomain, options: Options, parts: tuple[str, ...], say: Say) -> Path:
    """Run the named parts (all when none is) and write the page; returns its path.

    Raises `InputError` for an unknown part, for a supernet of another domain and for a folder that another process
    evaluates into, and what measuring here raises.
    """
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise InputError(f"unknown part {unknown[0]!r}; there are: {', '.join(PARTS)}")
    supernets = {name: TrainedSupernet.load(path) for name, path in options.supernets.items()}
    for name, trained in supernets.items():
        if trained.tasks != domain.space:
            raise InputError(f"supernet {name!r} was trained for other tasks than {domain.name}'s; leave it out")
    make_dir(folder)
    with _alone(folder):
        _run(folder, supernets, domain, options, parts or PARTS, say)
    return folder / PAGE


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two processes would do each row's work twice. Raises `InputError` where there is another one."""

    def refuse() -> None:
        raise InputError(f"another process evaluates into {folder}; wait for it to end, or choose another folder")

    with file_lock(folder / ".lock", _GLANCE_S, refuse):
        yield


def _run(
    folder: Path,
    supernets: dict[str, TrainedSupernet],
    domain: TaskDomain,
    options: Options,
    parts: tuple[str, ...],
    say: Say,
) -> None:
    for name, trained in supernets.items():
        if "accuracy" in parts:
            measure_accuracy(folder, name, trained, domain, options, say)
    if "similarity" in parts:
        measure_similarity(folder, supernets, domain)
    _write(folder, domain, options)
    if "scenarios" in parts:
        run_scenarios(folder, next(iter(supernets.values())), domain, options, say)
        _write(folder, domain, options)


def _write(folder: Path, domain: TaskDomain, options: Options) -> None:
    write_atomic(folder / PAGE, render(folder, domain, options))
    write_atomic(folder / TABLES, render_markdown(folder, domain, options))
