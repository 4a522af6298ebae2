"""Request to model file on disk, against litert-torch converting the same pruned subnet. Prints one JSON object.

Both in one process with everything loaded: the supernet, a template, and predictors fitted to a short campaign on this
machine. Every round asks for another task and budget, so that no answer is a repeated one.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from edgewright.converters.torch_to_tflite import convert
from edgewright.costs import Budget
from edgewright.workbench.options import CampaignOptions
from edgewright.workbench.workbench import Workbench

from benchmarks.runs import arguments, publish

ROUNDS = 7
SUBNETS = 40


def main() -> None:
    options = arguments(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder, Workbench(folder) as bench:
        pair = bench.pair("local")
        pair.profile(CampaignOptions(SUBNETS))
        ready = pair.customizer()
        trained, tasks = ready.trained, ready.domain.tasks
        full_ms = ready.predict([trained.supernet.space.full()])[0].predicted.latency_ms or 1.0
        ours, theirs = [], []
        for index in range(ROUNDS + 1):  # the first round warms up
            budget = Budget(latency_ms=full_ms * (0.5 + 0.05 * index))
            start = time.perf_counter()
            _, draft = ready.draft(tasks[7 * index], budget)
            ours.append(time.perf_counter() - start)
            subnet = trained.supernet.extract(draft.candidate.gates)
            start = time.perf_counter()
            (Path(folder) / "converted.tflite").write_bytes(convert(subnet, torch.zeros(1, *trained.image_shape)))
            theirs.append(time.perf_counter() - start)
    ours, theirs = ours[1:], theirs[1:]
    result = {
        "edgewright_s": median(ours),
        "litert_torch_s": median(theirs),
        "ratio": median(b / a for a, b in zip(ours, theirs, strict=True)),
        "edgewright_range_s": [min(ours), max(ours)],
        "litert_torch_range_s": [min(theirs), max(theirs)],
        "rounds": ROUNDS,
    }
    publish("customize", result, options.json)


if __name__ == "__main__":
    main()
