"""Estimates of many architectures in one call, for whoever searches among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from edgewright.architecture import EncodedArchitecture
from edgewright.errors import InputError
from edgewright.predictors.cost_model import cost_model
from edgewright.predictors.fitting import fit_predictors
from edgewright.spaces.gates import SubnetSpace


def test_estimates_are_those_of_the_predictors(space: SubnetSpace, invented: Any) -> None:
    predictors = fit_predictors(invented.records(60, noise=0.02), space)
    asked = [space.gates.smallest(), space.gates.full(), EncodedArchitecture.of(space.sentinel())]
    estimates = cost_model(predictors, 0.9)(asked)
    features = np.array([each.features for each in asked])
    assert predictors.memory is not None
    for name, predictor in (("latency_ms", predictors.latency), ("memory_mib", predictors.memory)):
        assert [getattr(each.predicted, name) for each in estimates] == predictor.predict(features).tolist()
        assert [getattr(each.upper, name) for each in estimates] == predictor.upper(features, 0.9).tolist()
    assert {each.confidence for each in estimates} == {0.9}
    assert {each.predicted.size_mib for each in estimates} == {None}
    assert cost_model(predictors)([]) == []


def test_a_cost_without_a_predictor_is_not_known(space: SubnetSpace, invented: Any) -> None:
    predict = cost_model(fit_predictors(invented.records(60, with_memory=False), space))
    (estimate,) = predict([space.gates.full()])
    assert estimate.predicted.latency_ms is not None
    assert estimate.predicted.memory_mib is None and estimate.upper.memory_mib is None


def test_less_than_even_odds_are_refused(space: SubnetSpace, invented: Any) -> None:
    predictors = fit_predictors(invented.records(60), space)
    for confidence in (0.3, 1.0):
        with pytest.raises(InputError, match="confidence"):
            cost_model(predictors, confidence)
