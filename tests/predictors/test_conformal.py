"""Intervals hold as many new measurements as they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from edgewright.errors import InputError
from edgewright.predictors.conformal import conformal_factor
from edgewright.predictors.fitting import fit_predictors
from edgewright.spaces.gates import SubnetSpace


@pytest.mark.parametrize("n", [1, 7, 19, 200])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_the_factor_is_an_error_that_was_seen(n: int, confidence: float) -> None:
    """At least ceil((n + 1) confidence) of n errors are no larger, one more at most; of few rows, all of them."""
    errors = np.random.default_rng(n).normal(0, 0.1, n)
    factor = conformal_factor(errors, confidence)
    assert np.isclose(np.exp(errors), factor).any()
    below, wanted = int((np.exp(errors) <= factor * (1 + 1e-12)).sum()), np.ceil((n + 1) * confidence)
    assert min(n, wanted) <= below <= min(n, wanted + 1)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -0.5, float("nan")])
def test_nothing_is_certain(confidence: float) -> None:
    with pytest.raises(InputError, match=r"confidence must lie in \(0, 1\)"):
        conformal_factor(np.zeros(9), confidence)


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
