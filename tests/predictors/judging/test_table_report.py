"""Judging anybody's measurements. The devices here are simulated, because what is true of them must be known."""

from __future__ import annotations

import numpy as np
import pytest
from edgewright.predictors.judging.table import FeatureTable
from edgewright.predictors.judging.table_report import TableReport, judge
from numpy.typing import NDArray

Array = NDArray[np.float64]


def measurements(n: int = 400, noise: float = 0.01, seed: int = 0) -> tuple[Array, Array]:
    """Widths of three layers `(n, 3)`, and what such a network takes `(n,)`, with relative noise."""
    rng = np.random.default_rng(seed)
    widths = rng.integers(8, 65, (n, 3)).astype(float)
    latencies = 2.0 + 0.01 * widths.sum(1) + 0.001 * widths[:, 0] * widths[:, 1] + 0.002 * widths[:, 1] * widths[:, 2]
    return widths, latencies * np.exp(rng.normal(0, noise, n))


def slowed(latencies: Array) -> Array:
    """A device that is a fifth slower in two blocks: another session, a competing load."""
    factor = np.ones(len(latencies))
    factor[60:180] = 1.2
    factor[300:330] = 1.15
    return latencies * factor


@pytest.fixture(scope="module")
def clean() -> TableReport:
    return judge(FeatureTable.of_arrays(*measurements(), range(400)))


@pytest.fixture(scope="module")
def disturbed() -> TableReport:
    features, latencies = measurements()
    return judge(FeatureTable.of_arrays(features, slowed(latencies), range(400)))


def test_a_clean_table_is_predicted_to_its_noise(clean: TableReport) -> None:
    report = clean
    assert report.mape < 1.0 and report.within_5 == 100 and report.spearman is not None and report.spearman > 0.99
    assert report.drift_lag1 is not None and abs(report.drift_lag1) < 0.2
    assert report.mape < 1.05 * report.plain_mape, "a drift term does no harm where there is no drift"
    assert 0.86 < report.coverage_90 < 0.94
    assert report.noise_floor is None


def test_drift_is_seen_and_taken_out(disturbed: TableReport) -> None:
    assert disturbed.drift_lag1 is not None and disturbed.drift_lag1 > 0.7
    assert disturbed.plain_mape > 5 and disturbed.mape < 1.6
    assert min(disturbed.neighbours) > 0


def test_without_an_order_it_is_the_plain_model(disturbed: TableReport) -> None:
    features, latencies = measurements()
    table = FeatureTable.of_arrays(features, slowed(latencies))
    report = judge(table)
    assert report.drift_lag1 is None and set(report.neighbours) == {0}
    assert report.mape == pytest.approx(report.plain_mape)
    assert report.mape == pytest.approx(disturbed.plain_mape)


def test_the_order_is_that_of_the_column_not_of_the_file() -> None:
    features, latencies = measurements()
    shuffled = np.random.default_rng(1).permutation(400)
    table = FeatureTable.of_arrays(features[shuffled], slowed(latencies)[shuffled], shuffled.astype(float))
    assert judge(table).mape < 1.6
    assert judge(FeatureTable.of_arrays(features[shuffled], slowed(latencies)[shuffled], range(400))).mape > 4


def test_it_is_deterministic_whatever_the_global_seed() -> None:
    table = FeatureTable.of_arrays(*measurements(100), range(100))
    np.random.seed(1)
    first = judge(table)
    np.random.seed(2)
    assert judge(table) == first


def test_the_learning_curve_falls_and_ends_at_the_whole(clean: TableReport) -> None:
    curve = clean.learning_curve
    assert [point.n_train for point in curve] == [20, 40, 80, 160, 320] and curve[0].mape > 1.2 * curve[-1].mape
    assert curve[-1].mape == pytest.approx(clean.mape)


def test_rows_measured_twice_tell_the_noise() -> None:
    features, latencies = measurements(60)
    again = latencies.copy()
    again[:30] *= 1.04
    again[30:] *= 0.98
    table = FeatureTable.of_arrays(np.concatenate([features, features]), np.concatenate([latencies, again]))
    assert judge(table).noise_floor == pytest.approx(3.0)


def test_the_unit_of_latency_does_not_matter() -> None:
    features, latencies = measurements(200)
    small = judge(FeatureTable.of_arrays(features, latencies * 1e-6, range(200)))
    large = judge(FeatureTable.of_arrays(features, latencies * 1e6, range(200)))
    assert small.mape == pytest.approx(large.mape, rel=1e-3)
