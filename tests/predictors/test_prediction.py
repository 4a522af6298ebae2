"""Recovery of known costs, and the report on held-out subnets."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from edgewright.architecture import EncodedArchitecture
from edgewright.device_agent.timing import TimingProtocol
from edgewright.errors import InputError
from edgewright.gates import GateSpace, Layer, Site
from edgewright.predictors.fitting import CostPredictors, fit_predictors
from edgewright.predictors.judging.report import PredictorReport, evaluate, noise_floor
from edgewright.predictors.linear import LinearPredictor
from edgewright.profiling.records import Measurement
from edgewright.profiling.verifications import VerificationRecord
from edgewright.spaces.gates import SubnetSpace


def test_features_are_shares_and_products_of_joined_sites(space: SubnetSpace) -> None:
    (feature_map,) = space.feature_maps("products")
    assert feature_map.names == ("a", "b", "c", "d", "a x b", "b x c", "c x d")
    assert feature_map([[16, 8, 12, 64]]).tolist() == [[1, 0.25, 0.5, 1, 0.25, 0.125, 0.5]]
    assert space.feature_maps("paper")[0].names == ("a", "b", "c", "d")


def test_a_layer_within_one_site_costs_its_square() -> None:
    space = SubnetSpace(GateSpace((Site("stream", 8),)), (Layer("conv", "stream", "stream", 8, 8, 100),))
    (feature_map,) = space.feature_maps("products")
    assert feature_map([[4]]).tolist() == [[0.5, 0.25]]


def test_known_costs_are_recovered(space: SubnetSpace, invented: Any) -> None:
    latency = fit_predictors(invented.records(100), space).latency
    assert latency.coef_ == pytest.approx([*invented.sites, *invented.pairs], abs=1e-6)
    assert latency.intercept_ == pytest.approx(invented.static, abs=1e-6)


def test_the_tile_of_a_device_is_learnt(space: SubnetSpace, invented: Any) -> None:
    """A device that computes output channels eight at a time: its latency is a staircase, and the steps are found."""

    def staircase(counts: np.ndarray) -> np.ndarray:
        widths = np.array([site.width for site in space.gates.sites])
        tiles: np.ndarray = np.minimum(np.ceil(counts / 8) * 8, widths)
        return 0.2 + tiles / widths @ np.array([0.3, 0.2, 0.5, 0.4])

    rng = np.random.default_rng(0)
    counts = np.stack([rng.integers(1, site.width + 1, 200) for site in space.gates.sites], axis=1)
    costs = staircase(counts) * np.exp(0.01 * rng.standard_normal(200))
    steps = LinearPredictor(space, "latency", "steps").fit(counts[:100], costs[:100])
    products = LinearPredictor(space, "latency", "products").fit(counts[:100], costs[:100])
    error = {each.features: np.abs(each.predict(counts[100:]) / costs[100:] - 1).mean() for each in (steps, products)}
    assert steps.feature_map_.name == "steps of 8" and products.feature_map_.name == "products"
    assert error["steps"] < 0.015 < 0.03 < error["products"]
    assert steps.predict([[1, 9, 17, 33]])[0] == pytest.approx(steps.predict([[8, 16, 24, 40]])[0], rel=0.02)


def test_a_block_of_channels_fills_tiles_together() -> None:
    space = SubnetSpace(GateSpace((Site("grouped", 8, block=4),)))
    by_tile = {each.name: each for each in space.feature_maps("steps")}
    assert by_tile["steps of 16"]([[1], [4], [5]]).tolist() == [[0.125, 0.5], [0.5, 0.5], [0.625, 1.0]]


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


def test_intervals_hold_what_they_say(space: SubnetSpace, invented: Any) -> None:
    fitted = fit_predictors(invented.records(300, noise=0.05), space).latency
    new = [record for record in invented.records(400, noise=0.05, seed=9) if record.kind == "subnet"]
    counts, measured = np.array([r.features for r in new]), np.array([r.latency_ms for r in new])
    low, high = fitted.interval(counts, 0.9)
    assert 0.85 < ((low <= measured) & (measured <= high)).mean() < 0.95
    assert 0.92 < (measured <= fitted.upper(counts, 0.95)).mean() < 0.98
    assert (fitted.upper(counts, 0.99) > fitted.upper(counts, 0.6)).all()
    with pytest.raises(InputError, match=r"confidence must lie in \(0, 1\), got 1"):
        fitted.upper(counts, 1)


def test_noise_averages_out(space: SubnetSpace, invented: Any) -> None:
    predictors = fit_predictors(invented.records(300, noise=0.05), space)
    middle = space.gates.from_counts([8, 16, 12, 32])
    counts = np.array([gates.counts for gates in (space.gates.full(), space.gates.smallest(), middle)])
    assert predictors.latency.predict(counts) == pytest.approx(invented.cost(counts), rel=0.03)


def test_errors_count_relative_to_the_cost(space: SubnetSpace) -> None:
    """With a model that cannot be right, the small half is met as well as the large one."""
    counts = np.array([[1, 1, 1, width] for width in range(1, 65)])
    costs = 0.1 + (counts[:, 3] / 64) ** 3
    predicted = LinearPredictor(space, "latency", "paper").fit(counts, costs).predict(counts)
    relative = np.abs(predicted - costs) / costs
    ordinary = np.polyval(np.polyfit(counts[:, 3], costs, 1), counts[:, 3])
    assert relative.mean() < 0.8 * (np.abs(ordinary - costs) / costs).mean()


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


def report_of(space: SubnetSpace, invented: Any, noise: float, **options: Any) -> PredictorReport:
    return evaluate(invented.records(200, noise=noise), space, **options)


def test_the_report_on_clean_costs(space: SubnetSpace, invented: Any) -> None:
    report = report_of(space, invented, noise=0.0)
    products, paper = report.score("latency", "products"), report.score("latency", "paper")
    assert products is not None and paper is not None
    assert products.accuracy == pytest.approx(100, abs=1e-4) and products.spearman == pytest.approx(1)
    assert (products.within_5, products.within_10, products.n_test) == (100, 100, 50)
    assert paper.mape > 1 and paper.accuracy == 100 - paper.mape
    assert report.noise_floor.latency == 0 and report.noise_floor.n_repeated == 20
    assert report.n_subnets == 200 and report.n_failed == 0
    assert {(score.quantity, score.features) for score in report.scores} == {
        (quantity, features) for quantity in ("latency", "memory") for features in ("paper", "products", "steps")
    }


def test_the_report_shows_noise_as_noise(space: SubnetSpace, invented: Any) -> None:
    report = report_of(space, invented, noise=0.04)
    products = report.score("latency", "products")
    assert products is not None and report.noise_floor.latency is not None
    assert 2.5 < report.noise_floor.latency < 7  # two noisy values: 0.04 * sqrt(2) * sqrt(2 / pi) = 4.5 %
    assert 2 < products.mape < 1.3 * report.noise_floor.latency
    assert 60 < products.within_5 < products.within_10
    assert report.noise_floor.memory == 0


def test_the_report_is_deterministic_from_its_seed(space: SubnetSpace, invented: Any) -> None:
    np.random.seed(0)
    first = report_of(space, invented, noise=0.04, seed=1)
    np.random.seed(1)
    assert report_of(space, invented, noise=0.04, seed=1) == first
    assert report_of(space, invented, noise=0.04, seed=2) != first
    assert json.loads(json.dumps(first.to_json(), allow_nan=False))["scores"][0]["quantity"] == "latency"


def test_held_out_subnets_do_not_train(space: SubnetSpace, invented: Any) -> None:
    """Costs that no model explains: whoever had seen the held-out subnets' repeats would do better on them."""
    records = invented.records(60)
    report = evaluate(records, space, test_share=0.5)
    score = report.score("latency", "products")
    assert score is not None and score.n_test == 30
    repeats_of_training = score.n_train - 30
    assert 0 <= repeats_of_training <= 10
    held_out_twice = 10 - repeats_of_training
    assert held_out_twice > 0 and score.n_train + score.n_test + held_out_twice == 70


def test_no_repeats_no_noise_floor(space: SubnetSpace, invented: Any, failure: Measurement) -> None:
    records = [record for record in invented.records(40, noise=0.1) if record.kind != "repeat"]
    assert noise_floor(records).latency is None
    report = evaluate([*records, replace(records[1], measurement=failure)], space)
    assert report.to_json()["noise_floor"] == {"latency": None, "memory": None, "n_repeated": 0}
    assert report.n_failed == 1


def test_the_share_of_the_test_is_checked(space: SubnetSpace, invented: Any) -> None:
    with pytest.raises(InputError, match="test_share=1"):
        evaluate(invented.records(40), space, test_share=1)
