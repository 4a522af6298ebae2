"""Random scenarios on this machine: met at the first attempt, met at all, and how much of the budget is used.

A fresh campaign, then scenarios drawn from a seeded generator: a task (held-out ones too), and bounds on latency and
on memory between what the smallest and the full subnet are predicted to cost. Each is customised and verified as
`edgewright customize` does it, every verification teaching the next. `use` is the binding budget's: the larger of
measured latency and memory over their bounds; `predicted_use` is that of the upper ends, `without_fill` the same for
Algorithm 1 alone. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from edgewright.assembler.archive import TrainedSupernet
from edgewright.costs import Budget, Cost, CostModel
from edgewright.customize.algorithm1 import Candidate
from edgewright.customize.customizer import Customizer
from edgewright.customize.scenario import Scenario
from edgewright.customize.templates import load_or_build
from edgewright.customize.verification_record import verification_record
from edgewright.data.digits import load_digits
from edgewright.device_agent.timing import TimingProtocol
from edgewright.devices.connect import open_session
from edgewright.devices.registry import Registry
from edgewright.domains.numvqa import domain as numvqa
from edgewright.errors import BudgetError
from edgewright.predictors.cost_model import cost_model
from edgewright.profiling.plan import PlanOptions
from edgewright.profiling.records import Measurement
from edgewright.profiling.store.store import Store
from edgewright.shipped import shipped_supernet
from edgewright.workbench.profiles import (
    campaign_records,
    fit_to,
    profile_device,
    template_sha256,
)


def scenarios(predict: CostModel, trained: TrainedSupernet, n: int, seed: int) -> list[Scenario]:
    """Bounds between a tenth and the whole of the way from the smallest to the full subnet, each drawn by itself."""
    rng = np.random.default_rng(seed)
    space = trained.supernet.space
    small, full = (estimate.upper for estimate in predict([space.smallest(), space.full()]))
    drawn = []
    for task in rng.choice(len(numvqa.TASKS), n, replace=False):
        latency, memory = (
            low + share * (high - low)
            for share, low, high in zip(
                rng.uniform(0.1, 1.0, 2),
                (small.latency_ms or 0.0, small.memory_mib or 0.0),
                (full.latency_ms or 0.0, full.memory_mib or 0.0),
                strict=True,
            )
        )
        drawn.append(Scenario(numvqa.TASKS[int(task)], "local", Budget(latency_ms=latency, memory_mib=memory)))
    return drawn


def used(cost: Cost, budget: Budget) -> float:
    return max((getattr(cost, name) or 0.0) / bound for name, bound in budget.given.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subnets", type=int, default=300)
    parser.add_argument("--scenarios", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--confidence", type=float, default=0.95)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(_run(Path(name), options)))


def _run(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    trained = TrainedSupernet.load(shipped_supernet())
    template = load_or_build(trained, folder)
    sha = template_sha256(template)
    with (
        Store.open(folder / "store.sqlite") as store,
        open_session(Registry(folder).get("local"), folder) as session,
    ):
        plan = PlanOptions(options.subnets, seed=options.seed)
        profile_device(session, store, "local", trained, template, plan, TimingProtocol())
        records, facts = campaign_records(store, "local", template), store.add_facts(session.facts())

        def keep(scenario: Scenario, candidate: Candidate, measurements: Sequence[Measurement]) -> None:
            store.add_verification(verification_record(scenario, candidate, measurements, sha, facts))

        def fitted() -> CostModel:
            return cost_model(fit_to(records, trained, store.verifications("local", sha)), options.confidence)

        customizer = Customizer(
            trained, template, fitted(), numvqa.NumVqa(load_digits()), folder / "artifacts", keep=keep, refit=fitted
        )
        rows = []
        for scenario in scenarios(customizer.predict, trained, options.scenarios, options.seed):
            ready = replace(customizer, predict=fitted())
            _, plain = replace(ready, fills=False).draft(scenario.task, scenario.budget)
            row: dict[str, Any] = {
                "task": str(scenario.task),
                "budget": scenario.budget.to_json(),
                "without_fill": used(plain.candidate.estimate.upper, scenario.budget),
            }
            try:
                artifact = ready.customize(scenario, folder / "model.tflite", session)
            except BudgetError as error:
                rows.append({**row, "tries": None, "refused": str(error)})
                continue
            rows.append(
                {
                    **row,
                    "tries": artifact.tries,
                    "use": used(artifact.measured, scenario.budget),
                    "filled": used(artifact.candidate.estimate.upper, scenario.budget),
                    "accuracy": artifact.scores.on_device,
                    "customize_s": artifact.customize_s,
                }
            )
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
