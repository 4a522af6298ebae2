"""Request to model file on disk, against litert-torch converting the same pruned subnet. Prints one JSON object.

Both in one process with everything loaded: the supernet, a template, and predictors fitted to a short campaign on this
machine. Every round asks for another task and budget, so that no answer is a repeated one.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from edgewright.assembler.archive import TrainedSupernet
from edgewright.converters.torch_to_tflite import convert
from edgewright.costs import Budget
from edgewright.customize.customizer import Customizer
from edgewright.customize.templates import load_or_build
from edgewright.data.digits import load_digits
from edgewright.device_agent.timing import TimingProtocol
from edgewright.devices.connect import open_session
from edgewright.devices.registry import Registry
from edgewright.domains.numvqa import domain as numvqa
from edgewright.predictors.cost_model import cost_model
from edgewright.profiling.plan import PlanOptions
from edgewright.profiling.store.store import Store
from edgewright.shipped import shipped_supernet
from edgewright.workbench.profiles import campaign_records, fit_to, profile_device

ROUNDS = 7
SUBNETS = 40


def customizer(folder: Path) -> Customizer:
    """Everything that stays between requests, on this machine."""
    trained = TrainedSupernet.load(shipped_supernet())
    template = load_or_build(trained, folder)
    with Store.open(folder / "store.sqlite") as store, open_session(Registry(folder).get("local"), folder) as session:
        profile_device(session, store, "local", trained, template, PlanOptions(SUBNETS), TimingProtocol())
        predictors = fit_to(campaign_records(store, "local", template), trained)
    return Customizer(trained, template, cost_model(predictors), numvqa.NumVqa(load_digits()), folder / "artifacts")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        ready = customizer(Path(name))
        space = ready.trained.supernet.space
        full_ms = ready.predict([space.full()])[0].predicted.latency_ms or 1.0
        ours, theirs = [], []
        for index in range(ROUNDS + 1):  # the first round warms up
            budget = Budget(latency_ms=full_ms * (0.5 + 0.05 * index))
            start = time.perf_counter()
            _, draft = ready.draft(numvqa.TASKS[7 * index], budget)
            ours.append(time.perf_counter() - start)
            subnet = ready.trained.supernet.extract(draft.candidate.gates)
            start = time.perf_counter()
            (Path(name) / "converted.tflite").write_bytes(convert(subnet, torch.zeros(1, *ready.trained.image_shape)))
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
    print(json.dumps(result))


if __name__ == "__main__":
    main()
