"""The runs of the benchmarks that docs/results.md shows: one JSON file, a list of runs per benchmark."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from edgewright.device_agent.facts import facts
from edgewright.files import write_atomic


@dataclass(frozen=True)
class Run:
    """What one run measured, where and when. `date` is ISO 8601; `note` says what the figures do not."""

    date: str
    machine: str
    result: dict[str, Any]
    note: str = ""


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="add this run to FILE, such as docs/benchmarks.json")
    return parser


def load(path: Path) -> dict[str, list[Run]]:
    stored = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return {name: [Run(**run) for run in runs] for name, runs in stored.items()}


def add(path: Path, benchmark: str, run: Run) -> None:
    runs = load(path)
    runs.setdefault(benchmark, []).append(run)
    stored = {name: [asdict(each) for each in runs[name]] for name in sorted(runs)}
    write_atomic(path, (json.dumps(stored, indent=1, ensure_ascii=False) + "\n").encode())


def publish(benchmark: str, result: dict[str, Any], path: Path | None) -> None:
    """Prints the result as one JSON object, and adds it to a file of runs if one is given."""
    print(json.dumps(result))
    if path is not None:
        add(path, benchmark, this_run(result))


def this_run(result: dict[str, Any]) -> Run:
    return Run(date.today().isoformat(), f"{facts()['cpu_model'] or 'unknown CPU'}, {os.cpu_count()} CPUs", result)
