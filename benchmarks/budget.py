"""Random scenarios on this machine: met at the first attempt, met at all, and how much of the budget is used.

A fresh campaign, then scenarios drawn from a seeded generator: a task (held-out ones too), and bounds on latency and
on memory between what the smallest and the full subnet are predicted to cost. Each is customised and verified as
`edgewright customize` does it, every verification teaching the next. `use` is the binding budget's: the larger of
measured latency and memory over their bounds; `predicted_use` is that of the upper ends, `without_fill` the same for
Algorithm 1 alone. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from edgewright.costs import Budget, Cost
from edgewright.customize.customizer import Customizer
from edgewright.customize.scenario import Scenario
from edgewright.errors import BudgetError
from edgewright.workbench.on_device import SupernetOnDevice
from edgewright.workbench.options import CampaignOptions
from edgewright.workbench.workbench import Workbench

from benchmarks.runs import arguments, publish


def scenarios(ready: Customizer, n: int, seed: int) -> list[Scenario]:
    """Bounds between a tenth and the whole of the way from the smallest to the full subnet, each drawn by itself."""
    rng = np.random.default_rng(seed)
    space, tasks = ready.trained.supernet.space, ready.domain.tasks
    small, full = (estimate.upper for estimate in ready.predict([space.smallest(), space.full()]))
    drawn = []
    for task in rng.choice(len(tasks), n, replace=False):
        latency, memory = (
            low + share * (high - low)
            for share, low, high in zip(
                rng.uniform(0.1, 1.0, 2),
                (small.latency_ms or 0.0, small.memory_mib or 0.0),
                (full.latency_ms or 0.0, full.memory_mib or 0.0),
                strict=True,
            )
        )
        drawn.append(Scenario(tasks[int(task)], "local", Budget(latency_ms=latency, memory_mib=memory)))
    return drawn


def used(cost: Cost, budget: Budget) -> float:
    return max((getattr(cost, name) or 0.0) / bound for name, bound in budget.given.items())


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--subnets", type=int, default=300)
    parser.add_argument("--scenarios", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--confidence", type=float, default=0.95)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        publish("budget", _run(Path(name), options), options.json)


def _run(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    with Workbench(folder) as bench:
        pair = bench.pair("local")
        pair.profile(CampaignOptions(options.subnets, seed=options.seed))
        asked = scenarios(pair.customizer(confidence=options.confidence), options.scenarios, options.seed)
        rows = [_row(pair, scenario, folder / "model.tflite", options.confidence) for scenario in asked]
    return _summary(rows)


def _row(pair: SupernetOnDevice, scenario: Scenario, out: Path, confidence: float) -> dict[str, Any]:
    """One scenario, customised by what all verifications so far have taught."""
    ready = pair.customizer(confidence=confidence)
    _, plain = replace(ready, fills=False).draft(scenario.task, scenario.budget)
    row: dict[str, Any] = {
        "task": str(scenario.task),
        "budget": scenario.budget.to_json(),
        "without_fill": used(plain.candidate.estimate.upper, scenario.budget),
    }
    try:
        artifact = ready.customize(scenario, out, pair.device.session)
    except BudgetError as error:
        return {**row, "tries": None, "refused": str(error)}
    return {
        **row,
        "tries": artifact.tries,
        "use": used(artifact.measured, scenario.budget),
        "filled": used(artifact.candidate.estimate.upper, scenario.budget),
        "accuracy": artifact.scores.on_device,
        "customize_s": artifact.customize_s,
    }


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    met = [row for row in rows if row["tries"] is not None]
    quartiles = [0, 25, 50, 75, 100]
    return {
        "scenarios": len(rows),
        "first_attempt": sum(row["tries"] == 1 for row in met),
        "met": len(met),
        "use_quartiles": np.percentile([row["use"] for row in met], quartiles).tolist(),
        "predicted_use_quartiles": np.percentile([row["filled"] for row in met], quartiles).tolist(),
        "without_fill_quartiles": np.percentile([row["without_fill"] for row in rows], quartiles).tolist(),
        "accuracy_mean": float(np.mean([row["accuracy"] for row in met])),
        "customize_s_median": float(np.median([row["customize_s"] for row in met])),
        "rows": rows,
    }


if __name__ == "__main__":
    main()
