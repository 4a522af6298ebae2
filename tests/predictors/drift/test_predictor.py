"""Latency as a polynomial times a drift, as a scikit-learn predictor."""

from __future__ import annotations

import numpy as np
import pytest
from edgewright.errors import InputError
from edgewright.predictors.drift.predictor import DriftingPredictor
from sklearn.exceptions import NotFittedError

from tests.predictors.judging.test_table_report import measurements


def test_predictor_before_fit_and_with_other_features() -> None:
    with pytest.raises(NotFittedError):
        DriftingPredictor().predict([[1.0]])
    fitted = DriftingPredictor(degree=1, neighbours=0).fit(*measurements(50))
    with pytest.raises(InputError, match=r"features must have shape \(q, 3\), got \(1, 2\)"):
        fitted.predict([[1.0, 2.0]])
    low, high = fitted.interval(measurements(50)[0], confidence=0.5)
    wider_low, wider_high = fitted.interval(measurements(50)[0], confidence=0.95)
    assert (wider_low < low).all() and (high < wider_high).all()
    with pytest.raises(InputError, match=r"confidence must lie in \(0, 1\), got 1"):
        fitted.interval(measurements(50)[0], confidence=1)


def test_both_terms_are_learnt() -> None:
    features, latencies = measurements(200)
    order = np.arange(200.0)
    drifting = latencies * np.where(order < 100, 1.0, 1.3)
    fitted = DriftingPredictor().fit(features, drifting, order)
    assert fitted.degree_ == 2 and fitted.neighbours_ > 0
    assert np.abs(fitted.predict(features, order) / drifting - 1).mean() < 0.02
    still = fitted.predict(features) / latencies
    assert still.std() / still.mean() < 0.02, "without an order, free of drift but for its level"
