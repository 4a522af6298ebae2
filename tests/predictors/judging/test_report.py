"""The report on held-out architectures, beside the noise floor."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from edgewright.errors import InputError
from edgewright.predictors.judging.report import PredictorReport, evaluate, noise_floor
from edgewright.profiling.records import Measurement
from edgewright.spaces.gates import SubnetSpace


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
