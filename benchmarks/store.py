"""A campaign that grew: seconds and memory of what people do with a store of many records. A table for people on
stderr, one JSON object on stdout.

A short campaign on this machine is copied, with a percent of noise on every latency and every copy an architecture of
its own, until there are as many records as asked for. Each stage runs in a process of its own with everything loaded
that does not depend on the records; `mib` is what the stage added to that process at its peak. insert: in
batches of 5,000. report: `edgewright predictor report`. fit: the predictors of latency and memory, and keeping
them. customise: from the kept predictors to a drafted answer, without slicing and verifying a model. export: as
`edgewright records export` writes a CSV file.
"""

from __future__ import annotations

import importlib
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

import numpy as np
from edgewright.costs import Budget
from edgewright.profiling.plan import make_plan
from edgewright.profiling.records import Record
from edgewright.workbench.on_device import SupernetOnDevice
from edgewright.workbench.options import CampaignOptions
from edgewright.workbench.workbench import Workbench
from rich.console import Console
from rich.table import Table

from benchmarks.runs import arguments, publish

SIZES = (1_000, 10_000, 100_000)
SUBNETS = 60
_BATCH = 5_000
_NOISE = 0.01

Stage = Callable[[Workbench, int], Callable[[], object]]
"""Loads what does not depend on the records, and gives what is timed; the number is of records."""


def insert(bench: Workbench, n: int) -> Callable[[], object]:
    store, space = bench.store, bench.pair("local").space
    (seed,) = store.campaigns()
    campaign = store.create_campaign(
        device=seed.device, space_digest=seed.space_digest, source=seed.source, protocol=seed.protocol,
        plan=make_plan(space, seed.options),
    )  # fmt: skip
    copied = _copies(store.records(seed), n)

    def stage() -> None:
        while batch := list(islice(copied, _BATCH)):
            store.add_records(campaign, batch)

    return stage


def report(bench: Workbench, n: int) -> Callable[[], object]:
    pair = _loaded(bench)
    return lambda: (pair.report(), pair.learning_curve())


def fit(bench: Workbench, n: int) -> Callable[[], object]:
    return _loaded(bench).predictors


def customise(bench: Workbench, n: int) -> Callable[[], object]:
    pair = _loaded(bench)
    task, _ = pair.supernet.domain.tasks[7], pair.supernet.template
    return lambda: pair.is_profiled and pair.customizer().draft(task, Budget(latency_ms=1e3))


def export(bench: Workbench, n: int) -> Callable[[], object]:
    path = bench.workspace.store.with_suffix(".csv")
    bench.records_table("nobody")  # loads the spaces that give columns their names
    return lambda: bench.records_table("local").to_csv(path, index=False)


STAGES: dict[str, Stage] = {
    "insert": insert, "report": report, "fit": fit, "customise": customise, "export": export,
}  # fmt: skip


def _loaded(bench: Workbench) -> SupernetOnDevice:
    for module in ("customize.customizer", "predictors.judging.learning", "predictors.judging.report"):
        importlib.import_module(f"edgewright.{module}")
    importlib.import_module("ruptures")
    pair = bench.pair("local")
    pair.store.verifications(pair.device_name, pair.source)
    return pair


def _copies(records: Sequence[Record], n: int) -> Iterator[Record]:
    rng = np.random.default_rng(0)
    start = datetime.fromisoformat(records[0].started_at)
    for position in range(n):
        copied = records[position % len(records)].scaled(float(np.exp(_NOISE * rng.standard_normal())))
        own = replace(copied.architecture, digest=f"{copied.architecture.digest}-{position // len(records)}")
        when = (start + timedelta(seconds=position)).isoformat()
        yield replace(copied, position=position, started_at=when, architecture=own)


def _run(name: str, folder: Path, n: int) -> dict[str, float]:
    with Workbench(folder) as bench:
        stage = STAGES[name](bench, n)
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        before, start = _status_mib("VmRSS"), time.perf_counter()
        stage()
        return {"s": time.perf_counter() - start, "mib": _status_mib("VmHWM") - before}


def _status_mib(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def _in_its_own_process(name: str, folder: Path, n: int) -> dict[str, float]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_run, name, folder, n).result()


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--full", action="store_true", help="a million records too, which takes about 3 GB of disk")
    options = parser.parse_args()
    sizes = [*options.sizes, *([1_000_000] if options.full else [])]
    found: dict[int, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        seed = Path(name) / "seed"
        with Workbench(seed) as bench:
            bench.pair("local").profile(CampaignOptions(SUBNETS))
        for n in sizes:
            folder = shutil.copytree(seed, Path(name) / str(n))
            found[n] = {stage: _in_its_own_process(stage, folder, n) for stage in STAGES}
            shutil.rmtree(folder)
    table = Table("records", *STAGES, title="seconds and MiB")
    for n, costs in found.items():
        table.add_row(f"{n:,}", *(f"{cost['s']:.2f} s, {cost['mib']:.0f} MiB" for cost in costs.values()))
    Console(file=sys.stderr).print(table)
    publish("store", {str(n): costs for n, costs in found.items()}, options.json)


if __name__ == "__main__":
    main()
