"""Request to model file on disk, against litert-torch converting the same pruned subnet. Prints one JSON object.

Both in one process with everything loaded: the supernet, a template, and predictors fitted to a short campaign on this
machine. Every round asks for another task and budget, so that no answer is a repeated one. More requests follow while
other programs keep every core busy.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import torch
from edgewright.converters.torch_to_tflite import convert
from edgewright.costs import Budget
from edgewright.customize.customizer import Customizer
from edgewright.customize.drafts import Draft
from edgewright.workbench.options import CampaignOptions
from edgewright.workbench.workbench import Workbench

from benchmarks.runs import arguments, publish

ROUNDS = 7
SUBNETS = 40


@contextmanager
def busy_cores() -> Iterator[None]:
    """A program that never rests for each core."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def seconds_per_request(ready: Customizer, full_ms: float, index: int) -> tuple[float, Draft]:
    """From the request's words to the model file. Every index is another request."""
    tasks = ready.domain.tasks
    task, budget = tasks[7 * index % len(tasks)], Budget(latency_ms=full_ms * (0.5 + 0.05 * (index % 8)))
    start = time.perf_counter()
    _, draft = ready.draft(task, budget)
    return time.perf_counter() - start, draft


def main() -> None:
    options = arguments(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder, Workbench(folder) as bench:
        pair = bench.pair("local")
        pair.profile(CampaignOptions(SUBNETS))
        ready = pair.customizer()
        trained = ready.trained
        full_ms = ready.predict([trained.supernet.space.full()])[0].predicted.latency_ms or 1.0
        ours, theirs = [], []
        for index in range(ROUNDS + 1):  # the first round warms up
            seconds, draft = seconds_per_request(ready, full_ms, index)
            ours.append(seconds)
            subnet = trained.supernet.extract(draft.candidate.gates)
            start = time.perf_counter()
            (Path(folder) / "converted.tflite").write_bytes(convert(subnet, torch.zeros(1, *trained.image_shape)))
            theirs.append(time.perf_counter() - start)
        with busy_cores():
            busy = [seconds_per_request(ready, full_ms, ROUNDS + 1 + index)[0] for index in range(ROUNDS)]
    ours, theirs = ours[1:], theirs[1:]
    result = {
        "edgewright_s": median(ours),
        "litert_torch_s": median(theirs),
        "ratio": median(b / a for a, b in zip(ours, theirs, strict=True)),
        "edgewright_range_s": [min(ours), max(ours)],
        "litert_torch_range_s": [min(theirs), max(theirs)],
        "edgewright_busy_s": median(busy),
        "edgewright_busy_range_s": [min(busy), max(busy)],
        "rounds": ROUNDS,
    }
    publish("customize", result, options.json)


if __name__ == "__main__":
    main()
