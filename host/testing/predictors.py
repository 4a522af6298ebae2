"""What every predictor promises, as tests:

    from edgewright.testing.predictors import PredictorContract
    from my_package import ForestPredictor

    class TestForest(PredictorContract):
        kind = ForestPredictor

Override the fixtures `space` and `table` to run the tests on a search space of your own, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from ..architecture import Architecture, EncodedArchitecture
from ..errors import InputError
from ..predictors.base import Predictor, PredictorKind, Quantity
from ..spaces.base import FeatureSpace
from ..spaces.features import PlainFeatures

Table = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Recorded features `(n, L)` and costs `(n,)`."""

_N_ROWS, _NOISE = 120, 0.02


@dataclass(frozen=True)
class Workloads(PlainFeatures):
    """A search space whose architectures are amounts of four kinds of work, of which their costs consist."""

    feature_names: tuple[str, ...] = ("convolutions", "attention", "memory traffic", "launches")
    kind: str = "workloads"
    digest: str = "4fae5c1b7d20e693"

    def decode(self, encoding: bytes) -> EncodedArchitecture:
        return EncodedArchitecture(self.kind, encoding.hex(), encoding, tuple(map(float, encoding)))

    def table(self, rng: np.random.Generator) -> Table:
        """Architectures and their costs on an invented device, with 2 % of noise."""
        amounts = rng.integers(1, 100, (_N_ROWS, 4)).astype(float)
        costs = 0.5 + amounts @ np.array([0.02, 0.01, 0.005, 0.04])
        return amounts, costs * np.exp(_NOISE * rng.standard_normal(_N_ROWS))


class PredictorContract:
    """Tests of one kind of predictor, for both quantities; `kind` is the guest."""

    kind: PredictorKind

    @pytest.fixture(params=["latency", "memory"])
    def quantity(self, request: pytest.FixtureRequest) -> Quantity:
        return request.param  # type: ignore[no-any-return]

    @pytest.fixture
    def space(self) -> FeatureSpace[Architecture]:
        return Workloads()

    @pytest.fixture
    def table(self) -> Table:
        """At least 80 measurements of architectures of `space`, with little noise."""
        return Workloads().table(np.random.default_rng(0))

    @pytest.fixture
    def make(self, space: FeatureSpace[Architecture], quantity: Quantity) -> Callable[[], Predictor]:
        kind = type(self).kind
        return lambda: kind(space, quantity)

    def test_before_a_fit_there_is_nothing_to_ask(self, make: Callable[[], Predictor], table: Table) -> None:
        for ask in ("predict", "interval", "upper"):
            with pytest.raises(NotFittedError):
                getattr(make(), ask)(table[0])
        for ask in ("describe", "to_json"):
            with pytest.raises(NotFittedError):
                getattr(make(), ask)()

    def test_fit_returns_itself(self, make: Callable[[], Predictor], table: Table) -> None:
        predictor = make()
        assert predictor.fit(*table) is predictor
        assert predictor.n_records_ == len(table[1])

    def test_errors_are_those_of_unseen_rows(self, make: Callable[[], Predictor], table: Table) -> None:
        """Ascending logs of measured over predicted, and not those of the rows that a fit has learnt by heart."""
        errors = make().fit(*table).errors_
        assert errors.shape == table[1].shape and np.isfinite(errors).all() and (np.diff(errors) >= 0).all()
        noise = np.random.default_rng(1).permutation(table[1])
        assert np.abs(make().fit(table[0], noise).errors_).mean() > 2 * np.abs(errors).mean()

    def test_costs_are_predicted(self, make: Callable[[], Predictor], table: Table) -> None:
        """Better than by their median."""
        features, costs = table
        half = len(costs) // 2
        predicted = make().fit(features[:half], costs[:half]).predict(features[half:])
        assert predicted.shape == (len(costs) - half,) and (predicted > 0).all()
        off, off_by_median = (np.abs(each - costs[half:]).mean() for each in (predicted, np.median(costs[:half])))
        assert off < 0.5 * off_by_median

    def test_equal_data_give_equal_predictors(self, make: Callable[[], Predictor], table: Table) -> None:
        np.random.seed(0)
        first = make().fit(*table)
        np.random.seed(1)
        assert make().fit(*table).to_json() == first.to_json()

    def test_a_second_fit_forgets_the_first(self, make: Callable[[], Predictor], table: Table) -> None:
        features, costs = table
        refitted = make().fit(features, 10 * costs).fit(features, costs)
        assert refitted.predict(features) == pytest.approx(make().fit(features, costs).predict(features))

    def test_a_batch_is_predicted_row_by_row(self, make: Callable[[], Predictor], table: Table) -> None:
        predictor, features = make().fit(*table), table[0][:20]
        assert predictor.predict(features) == pytest.approx([predictor.predict([row])[0] for row in features])
        assert predictor.predict(np.empty((0, features.shape[1]))).shape == (0,)

    def test_intervals_hold_what_they_say(self, make: Callable[[], Predictor], table: Table) -> None:
        features, costs = table
        seen = np.arange(len(costs)) % 2 == 0
        fitted = make().fit(features[seen], costs[seen])
        low, high = fitted.interval(features[~seen], 0.9)
        held = ((low <= costs[~seen]) & (costs[~seen] <= high)).mean()
        below = (costs[~seen] <= fitted.upper(features[~seen], 0.95)).mean()
        assert held > 0.75 and below > 0.82, "far less than 90 % and 95 %, of few rows"

    def test_surer_is_wider(self, make: Callable[[], Predictor], table: Table) -> None:
        fitted, features = make().fit(*table), table[0]
        (low, high), (lower, higher) = fitted.interval(features, 0.5), fitted.interval(features, 0.95)
        assert (lower < low).all() and (low <= high).all() and (high < higher).all()
        assert (fitted.upper(features, 0.6) < fitted.upper(features, 0.99)).all()
        for confidence in (0.0, 1.0):
            with pytest.raises(InputError, match="confidence"):
                fitted.upper(features, confidence)
            with pytest.raises(InputError, match="confidence"):
                fitted.interval(features, confidence)

    def test_it_survives_json(
        self, make: Callable[[], Predictor], space: FeatureSpace[Architecture], quantity: Quantity, table: Table
    ) -> None:
        fitted = make().fit(*table)
        text = json.dumps(fitted.to_json(), allow_nan=False)
        again = type(self).kind.from_json(json.loads(text), space, quantity)
        assert np.array_equal(again.predict(table[0]), fitted.predict(table[0]))
        assert np.array_equal(again.upper(table[0]), fitted.upper(table[0]))
        assert again.to_json() == fitted.to_json() and again.n_records_ == fitted.n_records_
        json.dumps(fitted.describe(), allow_nan=False)

    def test_foreign_json_is_refused(
        self, make: Callable[[], Predictor], space: FeatureSpace[Architecture], quantity: Quantity, table: Table
    ) -> None:
        saved = make().fit(*table).to_json()
        others: list[Mapping[str, Any]] = [{}, {"linear": True}, dict.fromkeys(saved)]
        for data in others:
            with pytest.raises(InputError):
                type(self).kind.from_json(data, space, quantity)
        with pytest.raises(InputError):
            type(self).kind.from_json(saved, space, "memory" if quantity == "latency" else "latency")

    def test_unusable_data_is_refused(self, make: Callable[[], Predictor], table: Table) -> None:
        features, costs = table
        spoilt = [
            (features[:2], costs[:2]),
            (features, costs[:-1]),
            (features[:, :-1], costs),
            (np.where(features == features.max(), np.nan, features), costs),
            *((features, np.where(np.arange(len(costs)) == 3, bad, costs)) for bad in (0.0, -1.0, np.nan, np.inf)),
        ]
        for each in spoilt:
            with pytest.raises(InputError):
                make().fit(*each)
        with pytest.raises(InputError):
            make().fit(features, costs).predict(features[:, :-1])
