"""Predictors on this machine: error beside the noise floor, a disturbed campaign beside a clean one, throughput beside
what peers do. Prints one JSON object.

A campaign measures every subnet twice. Half of the subnets train, by their first measurement alone; the first
measurements of the other half are predicted. Errors are percent. `paper` is NN-Factory's linear row, `boosting`
scikit-learn's histogram gradient boosting on the counts, as a check. Then two campaigns on two threads, which another
program can slow: a clean one, and one in which that program starts half-way. Throughput: subnets a minute of the
campaign on one thread, against converting the same subnets with litert-torch and timing each in a fresh process.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from edgewright.converters.torch_to_tflite import convert
from edgewright.predictors.drift.correction import correct, without_drift
from edgewright.predictors.fitting import costs_of, fit_predictors
from edgewright.predictors.judging.report import noise_floor
from edgewright.predictors.linear import LinearPredictor
from edgewright.profiling.columns import RecordColumns
from edgewright.profiling.progress import Progress
from edgewright.profiling.records import Record
from edgewright.workbench.options import CampaignOptions
from edgewright.workbench.workbench import Workbench
from sklearn.ensemble import HistGradientBoostingRegressor

from benchmarks.runs import arguments, publish

CONVERTED = 6
# Two fifths of a CPU, in pieces far shorter than a run: what it takes from a model on two threads is about a quarter.
BUSY = """
import time
while True:
    until = time.perf_counter() + 0.0002
    while time.perf_counter() < until:
        pass
    time.sleep(0.0003)
"""
TIME_IN_A_FRESH_PROCESS = """
import statistics, sys, time
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
samples = []
for _ in range(60):
    start = time.perf_counter()
    interpreter.invoke()
    samples.append(time.perf_counter() - start)
print(1e3 * statistics.median(samples[10:]))
"""


class Bench:
    """This machine and the shipped supernet."""

    def __init__(self, workbench: Workbench, subnets: int) -> None:
        self.pair = workbench.pair("local")
        self.trained = self.pair.supernet.trained
        self.space = self.trained.supernet.subnets
        self._subnets = subnets

    def campaign(
        self, seed: int, threads: int = 1, load_from: float | None = None, n_subnets: int | None = None
    ) -> tuple[list[Record], float]:
        """Records and wall seconds; another program runs from the share `load_from` of the campaign on."""
        with ExitStack() as stack:

            def watch(at: Progress) -> None:
                nonlocal load_from
                if load_from is not None and at.done >= load_from * at.total:
                    load_from = None
                    load = subprocess.Popen([sys.executable, "-c", BUSY])
                    stack.callback(load.wait)
                    stack.callback(load.kill)

            options = CampaignOptions(
                n_subnets or self._subnets, seed, threads, patience_s=0.0, sentinel_every=20, repeat_share=1.0
            )
            profiled = self.pair.profile(options, watch)
            return self.pair.store.records(profiled.campaign), profiled.summary.wall_s

    def errors(self, records: Sequence[Record], seed: int) -> dict[str, Any]:
        first = [row for row in records if row.kind == "subnet" and row.error is None]
        order = np.random.default_rng(seed).permutation(len(first))
        train, test = ([first[place] for place in half] for half in np.array_split(order, 2))
        counts, true = costs_of(RecordColumns.of(test), "latency", self.space)
        seen, costs = costs_of(RecordColumns.of(train), "latency", self.space)
        fitted = {name: LinearPredictor(self.space, "latency", name) for name in ("paper", "products", "steps")}
        found: dict[str, Any] = {}
        for name, predictor in fitted.items():
            found[name] = _mape(predictor.fit(seen, costs).predict(counts), true)
        boosting = HistGradientBoostingRegressor(loss="absolute_error", random_state=seed).fit(seen, np.log(costs))
        found["boosting"] = _mape(np.exp(boosting.predict(counts)), true)
        low, high = fitted["steps"].interval(counts, 0.9)
        floor = noise_floor(records).latency or 0.0
        return {
            **found,
            "n_train": len(train),
            "noise_floor": floor,
            "steps_over_floor": found["steps"] / floor,
            "coverage_90": float(((low <= true) & (true <= high)).mean()),
            "tile": fitted["steps"].feature_map_.tile,
        }


def _mape(predicted: Any, true: Any) -> float:
    return 100 * float(np.mean(np.abs(predicted - true) / true))


def _peer_seconds(bench: Bench, records: Sequence[Record], folder: Path) -> list[float]:
    """What converting and timing one subnet takes, each in turn; the first conversion, which warms up, is left out."""
    taken = []
    for record in [row for row in records if row.kind == "subnet"][: CONVERTED + 1]:
        start = time.perf_counter()
        subnet = bench.trained.supernet.extract(bench.space.decode(record.architecture.encoding))
        path = folder / "converted.tflite"
        path.write_bytes(convert(subnet, torch.zeros(1, *bench.trained.image_shape)))
        subprocess.run([sys.executable, "-c", TIME_IN_A_FRESH_PROCESS, str(path)], check=True, capture_output=True)
        taken.append(time.perf_counter() - start)
    return taken[1:]


def _disturbed(bench: Bench, seed: int) -> dict[str, Any]:
    """How far a disturbed campaign's predictor is from a clean one's, in percent over the clean one's subnets."""
    n_subnets, threads = 100, 2
    clean, _ = bench.campaign(seed, threads, n_subnets=n_subnets)
    disturbed, _ = bench.campaign(seed, threads, 0.5, n_subnets)
    counts, _ = costs_of(RecordColumns.of(clean), "latency", bench.space)
    reference = fit_predictors(clean, bench.space).latency.predict(counts)
    with_drift = fit_predictors(disturbed, bench.space, drift=False).latency.predict(counts)
    without = fit_predictors(disturbed, bench.space).latency.predict(counts)
    sentinel_ms = [row.latency_ms for row in disturbed if row.kind == "sentinel" and row.latency_ms is not None]
    half = len(sentinel_ms) // 2
    found = correct(disturbed, bench.space)
    return {
        "clean_said": list(correct(clean, bench.space).disturbances),
        "said": list(found.disturbances),
        "sentences": list(found.sentences),
        "sentinel_slower": float(np.median(sentinel_ms[half:]) / np.median(sentinel_ms[:half])),
        "off_uncorrected": _mape(with_drift, reference),
        "off_corrected": _mape(without, reference),
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--subnets", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Workbench(name) as workbench:
        bench = Bench(workbench, options.subnets)
        rounds, disturbed = [], []
        for seed in range(options.rounds):
            records, wall_s = bench.campaign(seed)
            drift = correct(records, bench.space)
            rounds.append(
                {
                    "seed": seed,
                    "raw": bench.errors(records, seed),
                    "corrected": bench.errors(without_drift(records, {"local": drift}), seed),
                    "disturbances": list(drift.sentences),
                    "subnets_per_minute": 60 * len(records) / wall_s,
                }
            )
            disturbed.append(_disturbed(bench, seed))
        peer_s = _peer_seconds(bench, records, Path(name))
    peers_per_minute = 60 / float(np.median(peer_s))
    ours_per_minute = float(np.median([each["subnets_per_minute"] for each in rounds]))
    throughput = {
        "ours_per_minute": ours_per_minute,
        "peers_per_minute": peers_per_minute,
        "ratio": ours_per_minute / peers_per_minute,
        "peer_s": peer_s,
    }
    result = {"rounds": rounds, "disturbed": disturbed, "throughput": throughput}
    publish("predictors", result, options.json)


if __name__ == "__main__":
    main()
