"""Campaigns of an invented device that is disturbed in known ways: told from a clean one, and put right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from edgewright.predictors.drift.correction import correct, corrected_ms, drift_of, undisturbed, without_drift
from edgewright.predictors.fitting import fit_predictors
from edgewright.profiling.columns import RecordColumns
from edgewright.profiling.records import Record
from edgewright.spaces.gates import SubnetSpace

NOISE = 0.02


def slowed(records: Sequence[Record], factor: Callable[[float], float]) -> list[Record]:
    """`factor` of the share of the campaign that has gone."""

    def one(record: Record) -> Record:
        (sample,) = record.measurement.samples_ms or ()
        times = factor(record.position / len(records))
        return replace(record, measurement=replace(record.measurement, samples_ms=(sample * times,)))

    return [one(record) for record in records]


def test_a_clean_campaign_stays_as_it_is(space: SubnetSpace, invented: Any) -> None:
    found = correct(invented.records(200, noise=NOISE), space)
    assert found.disturbances == () and found.sentences == ()
    assert max(abs(factor - 1) for factor in found.factors.values()) < 0.02


def test_a_device_that_slows_by_a_fifth_half_way(space: SubnetSpace, invented: Any) -> None:
    clean = invented.records(200, noise=NOISE)
    disturbed = slowed(clean, lambda share: 1.2 if share >= 0.5 else 1.0)
    found = correct(disturbed, space)
    assert found.disturbances == ("level change",)
    (sentence,) = found.sentences
    assert "times as long as the fastest lasting ones" in sentence
    half = len(disturbed) // 2
    factors = np.array([found.factors["invented", record.position] for record in disturbed])
    assert factors[: half - 3] == pytest.approx(1.0, abs=0.02) and factors[half + 3 :] == pytest.approx(1.2, abs=0.03)


def test_the_predictor_of_a_disturbed_campaign_is_close_to_the_clean_one(
    space: SubnetSpace, invented: Any
) -> None:
    clean = invented.records(200, noise=NOISE)
    disturbed = slowed(clean, lambda share: 1.2 if share >= 0.5 else 1.0)
    counts = np.array([record.features for record in clean])
    of_clean = fit_predictors(clean, space).latency.predict(counts)
    of_disturbed = fit_predictors(disturbed, space).latency.predict(counts)
    of_raw = fit_predictors(disturbed, space, drift=False).latency.predict(counts)
    assert np.abs(of_disturbed / of_clean - 1).mean() < 0.02 < 0.05 < np.abs(of_raw / of_clean - 1).mean()


def test_where_enough_is_undisturbed_nothing_else_teaches(space: SubnetSpace, invented: Any) -> None:
    """Another program slows large subnets more than small ones: no factor puts that right."""
    clean = invented.records(200, noise=NOISE)
    largest = max(record.latency_ms or 0.0 for record in clean)

    def slowed_by_size(record: Record, late: bool) -> Record:
        ms = record.latency_ms or 0.0
        return slowed([replace(record, position=0)], lambda _: 1.1 + 0.4 * ms / largest if late else 1.0)[0]

    disturbed = [replace(slowed_by_size(r, r.position > 120), position=r.position) for r in clean]
    drift = drift_of(disturbed, space)
    taught = undisturbed(RecordColumns.of(disturbed), drift)
    assert set(taught.position.tolist()) <= set(range(124)) and len(taught) > 100
    few = [record for record in disturbed if 90 <= record.position < 155]
    taught = undisturbed(RecordColumns.of(few), drift_of(few, space))
    assert len(taught) == len(few), "30 undisturbed ones cannot stand alone"


def test_a_cold_start(space: SubnetSpace, invented: Any) -> None:
    cold = slowed(invented.records(200, noise=NOISE), lambda share: 1.3 if share < 0.1 else 1.0)
    found = correct(cold, space)
    assert found.disturbances == ("cold start",)
    assert found.factors["invented", 2] == pytest.approx(1.3, abs=0.05)


def test_a_busy_device(space: SubnetSpace, invented: Any) -> None:
    rng = np.random.default_rng(0)
    busy = slowed(invented.records(200, noise=NOISE), lambda share: 1.5 if rng.random() < 0.25 else 1.0)
    found = correct(busy, space)
    assert "busy" in found.disturbances
    assert any("profile again" in sentence for sentence in found.sentences)


def test_a_slow_drift_is_followed(space: SubnetSpace, invented: Any) -> None:
    warming = slowed(invented.records(300, noise=NOISE), lambda share: 1 + 0.2 * share)
    latencies = {record.position: record.latency_ms for record in invented.records(300, noise=NOISE)}
    still = without_drift(warming, drift_of(warming, space))
    off = [record.latency_ms / latencies[record.position] for record in still]
    assert np.std(off) < 0.03, "20 % of drift, 6 % as a standard deviation, is gone but for its scale"


def test_devices_of_a_fleet_drift_apart(space: SubnetSpace, invented: Any) -> None:
    first = invented.records(100, noise=NOISE)
    second = [replace(record, device="other") for record in slowed(first, lambda s: 1.3 if s >= 0.5 else 1.0)]
    records = [*first, *second]
    both = without_drift(records, drift_of(records, space))
    late = [r.latency_ms for r in both if r.position == len(first) - 2]
    assert late[0] == pytest.approx(late[1], rel=0.05)


def test_few_records_are_left_alone(space: SubnetSpace, invented: Any) -> None:
    records = slowed(invented.records(25, noise=NOISE), lambda share: 1.2 if share >= 0.5 else 1.0)
    assert correct(records, space).factors == {}
    taught = undisturbed(RecordColumns.of(records), drift_of(records, space))
    assert taught.latency_ms.tolist() == [record.latency_ms for record in records]


def test_corrected_latencies_by_position(space: SubnetSpace, invented: Any) -> None:
    disturbed = slowed(invented.records(200, noise=NOISE), lambda share: 1.2 if share >= 0.5 else 1.0)
    found, (without,) = corrected_ms(disturbed, space), [without_drift(disturbed, drift_of(disturbed, space))]
    assert found == pytest.approx({record.position: record.latency_ms for record in without})
    assert corrected_ms(disturbed[:20], space) == {}
