"""A real campaign on this machine while real programs take CPUs from half-way on, beside one without them."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgewright.customize.templates import template_path
from edgewright.files import make_dir, write_atomic
from edgewright.predictors.fitting import fit_predictors
from edgewright.profiling.progress import Progress
from edgewright.profiling.records import Record
from edgewright.workbench.campaigns import Profiled
from edgewright.workbench.options import CampaignOptions
from edgewright.workbench.workbench import Workbench

OPTIONS = CampaignOptions(110, threads=len(os.sched_getaffinity(0)), sentinel_every=8)  # on all CPUs
BUSY = [sys.executable, "-c", "while True: pass"]


def campaign(folder: Path, trained: Any, n_programs: int) -> tuple[Profiled, list[Record]]:
    with ExitStack() as stack:
        bench = stack.enter_context(Workbench(folder))
        started: list[int] = []

        def watch(at: Progress) -> None:
            while at.done >= at.total / 2 and len(started) < n_programs:
                program = subprocess.Popen(BUSY)
                started.append(program.pid)
                stack.callback(program.wait)
                stack.callback(program.kill)

        profiled = bench.pair("local", trained).profile(OPTIONS, watch)
        return profiled, bench.store.records(profiled.campaign)


def slowed_by(records: list[Record]) -> float:
    """The sentinel's latency after half-way over the one before."""
    sentinel_ms = [record.latency_ms or 0.0 for record in records if record.kind == "sentinel"]
    half = len(sentinel_ms) // 2
    return float(np.median(sentinel_ms[half + 1 :]) / np.median(sentinel_ms[:half]))


def skip_unless_quiet(*parts: list[Record]) -> None:
    """What is put right is judged by a campaign that nothing disturbed: the sentinel is as fast in all its parts."""
    medians = [np.median([record.latency_ms or 0.0 for record in part if record.kind == "sentinel"]) for part in parts]
    slower = float(max(medians) / min(medians))
    if slower > 1.1:
        pytest.skip(f"this machine is slower by {slower - 1:.0%} now and then; end what else runs here")


@pytest.mark.sweep
@pytest.mark.skipif(OPTIONS.threads < 2, reason="one CPU: a run shares it in turns, and its median stays the same")
def test_a_competing_program_is_seen_and_put_right(trained: Any, template: Any, tmp_path: Path) -> None:
    make_dir(tmp_path / "templates")
    write_atomic(template_path(trained, tmp_path / "templates"), template.to_bytes())
    _, clean = campaign(tmp_path, trained, 0)
    half = len(clean) // 2
    skip_unless_quiet(clean[:half], clean[half:])
    slower = 0.0
    for n_programs in (1, 2 * OPTIONS.threads):  # one is enough where CPUs are few and nothing else runs
        profiled, disturbed = campaign(tmp_path, trained, n_programs)
        slower = slowed_by(disturbed)
        if slower >= 1.15:
            skip_unless_quiet(clean[:half], clean[half:], disturbed[: half - 1])
            break
    else:
        pytest.skip(f"{n_programs} busy programs slow this machine by {slower - 1:.0%} only; end what else runs here")
    assert any("times as long as the fastest lasting ones" in sentence for sentence in profiled.disturbances)
    space = trained.supernet.subnets
    counts = np.array([record.features for record in clean])
    reference, raw, put_right = (
        fit_predictors(records, space, drift=drift).latency.predict(counts)
        for records, drift in ((clean, True), (disturbed, False), (disturbed, True))
    )
    off_raw, off = (float(np.abs(each / reference - 1).mean()) for each in (raw, put_right))
    assert off < 0.6 * off_raw
