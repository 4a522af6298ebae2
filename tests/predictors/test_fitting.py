"""From records to predictors: known costs are recovered, whatever the device and the records are like."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from edgewright.architecture import EncodedArchitecture
from edgewright.device_agent.timing import TimingProtocol
from edgewright.errors import InputError
from edgewright.predictors.fitting import CostPredictors, fit_predictors
from edgewright.predictors.judging.report import evaluate
from edgewright.profiling.records import Measurement
from edgewright.profiling.verifications import VerificationRecord
from edgewright.spaces.gates import SubnetSpace


def test_known_costs_are_recovered(space: SubnetSpace, invented: Any) -> None:
    latency = fit_predictors(invented.records(100), space).latency
    assert latency.coef_ == pytest.approx([*invented.sites, *invented.pairs], abs=1e-6)
    assert latency.intercept_ == pytest.approx(invented.static, abs=1e-6)


def test_measurements_beside_another_program_do_not_bend_the_fit(
    space: SubnetSpace, invented: Any
) -> None:
    records = invented.records(100, noise=0.01)
    for index in range(3, len(records), 12):
        (sample,) = records[index].measurement.samples_ms
        records[index] = replace(records[index], measurement=Measurement(samples_ms=(1.5 * sample,), memory_mib=1.0))
    full = np.array([space.gates.full().counts, space.gates.from_counts([8, 16, 12, 32]).counts])
    assert fit_predictors(records, space).latency.predict(full) == pytest.approx(invented.cost(full), rel=0.02)


def test_verified_models_teach(space: SubnetSpace, invented: Any) -> None:
    """A campaign that never saw narrow sites, and a few models that were verified there."""
    records = [r for r in invented.records(150, noise=0.01) if min(r.features) > 2]
    narrow = np.array([[1, 2, 1, 2], [2, 1, 2, 1], [1, 1, 2, 2]])
    verified = [
        VerificationRecord(
            device="invented", source="t", facts_digest="f", started_at="2024-01-01",
            architecture=EncodedArchitecture("gates", "g", b"", tuple(counts)), samples_ms=((ms,), (ms,)),
            protocol=TimingProtocol(), budget={"latency_ms": 1.0}, task="has, 3", fits=True, memory_mib=2 * ms,
        )
        for counts, ms in zip(narrow.tolist() * 8, (invented.cost(narrow) + 0.1).tolist() * 8, strict=True)
    ]  # fmt: skip
    before = fit_predictors(records, space)
    after = fit_predictors(records, space, verifications=verified)
    assert after.latency.n_records_ == before.latency.n_records_ + 24
    truth = invented.cost(narrow) + 0.1
    off = {id(each): np.abs(each.latency.predict(narrow) - truth).mean() for each in (before, after)}
    assert off[id(after)] < 0.7 * off[id(before)]
    assert after.memory is not None and before.memory is not None
    assert after.memory.n_records_ == before.memory.n_records_ + 24


def test_noise_averages_out(space: SubnetSpace, invented: Any) -> None:
    predictors = fit_predictors(invented.records(300, noise=0.05), space)
    middle = space.gates.from_counts([8, 16, 12, 32])
    counts = np.array([gates.counts for gates in (space.gates.full(), space.gates.smallest(), middle)])
    assert predictors.latency.predict(counts) == pytest.approx(invented.cost(counts), rel=0.03)


def test_failures_and_sentinels_do_not_teach(
    space: SubnetSpace, invented: Any, failure: Measurement
) -> None:
    records = invented.records(60)
    spoilt = [
        replace(record, measurement=Measurement(samples_ms=(999.0,))) if record.kind == "sentinel" else record
        for record in records
    ]
    failed = replace(records[1], position=9999, measurement=failure)
    fitted = fit_predictors([*spoilt, failed], space).latency
    assert fitted.to_json() == fit_predictors(records, space).latency.to_json()


def test_without_memory_there_is_no_memory_predictor(space: SubnetSpace, invented: Any) -> None:
    records = invented.records(60, with_memory=False)
    predictors = fit_predictors(records, space)
    assert predictors.memory is None
    assert CostPredictors.from_json(json.loads(json.dumps(predictors.to_json())), space).memory is None
    report = evaluate(records, space)
    assert report.score("memory", "products") is None and report.noise_floor.memory is None


def test_the_pair_survives_json(space: SubnetSpace, invented: Any) -> None:
    predictors = fit_predictors(invented.records(60, noise=0.02), space)
    again = CostPredictors.from_json(json.loads(json.dumps(predictors.to_json())), space)
    full = [space.gates.full().counts]
    assert again.memory is not None and predictors.memory is not None
    assert again.latency.predict(full) == predictors.latency.predict(full)
    assert again.memory.predict(full) == predictors.memory.predict(full)
    with pytest.raises(InputError, match="not a saved pair of predictors"):
        CostPredictors.from_json({"latency": predictors.latency.to_json()}, space)


def test_too_few_records_are_refused(space: SubnetSpace, invented: Any) -> None:
    with pytest.raises(InputError, match="a latency predictor needs at least 10 measurements, got 0"):
        fit_predictors([], space)
    with pytest.raises(InputError, match="12 measured subnets are too few .*at least 10 to fit and 5 to test"):
        evaluate(invented.records(12), space)
    with pytest.raises(InputError, match="0 measured subnets are too few"):
        evaluate([], space)


def test_records_of_another_supernet_are_refused(space: SubnetSpace, invented: Any) -> None:
    records = invented.records(40)
    foreign = replace(records[1], architecture=EncodedArchitecture("gates", "g", b"", (1, 2)))
    with pytest.raises(InputError, match="'gates' with 2 features, this space is of the kind 'gates' with 4"):
        fit_predictors([*records, foreign], space)
