"""Our predictors keep the contract, from the features of each kind of space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from edgewright.architecture import Architecture
from edgewright.predictors.base import PREDICTORS, Predictor, Quantity
from edgewright.predictors.linear import LinearPredictor
from edgewright.spaces.base import FeatureSpace
from edgewright.spaces.gates import SubnetSpace
from edgewright.testing.predictors import PredictorContract, Table


class Linear:
    """The linear predictor from one feature set."""

    def __init__(self, features: str) -> None:
        self._features = features

    def __call__(self, space: FeatureSpace[Architecture], quantity: Quantity) -> Predictor:
        return LinearPredictor(space, quantity, self._features)

    def from_json(self, data: Mapping[str, Any], space: FeatureSpace[Architecture], quantity: Quantity) -> Predictor:
        return LinearPredictor.from_json(data, space, quantity)


class TestEveryPredictorThatComesAlong(PredictorContract):
    @pytest.fixture(params=PREDICTORS.names, autouse=True)
    def named(self, request: pytest.FixtureRequest) -> None:
        type(self).kind = PREDICTORS.get(request.param)


class OfSubnets(PredictorContract):
    @pytest.fixture
    def table(self, invented: Any, space: SubnetSpace) -> Table:
        rng = np.random.default_rng(0)
        counts = np.stack([rng.integers(1, site.width + 1, 80) for site in space.gates.sites], axis=1).astype(float)
        return counts, invented.cost(counts) * (1 + 0.02 * rng.standard_normal(80))

    @pytest.fixture
    def space(self, space: SubnetSpace) -> SubnetSpace:  # type: ignore[override]
        """The one of this folder."""
        return space


class TestLinearFromOpenModules(OfSubnets):
    kind = Linear("paper")


class TestLinearFromProducts(OfSubnets):
    kind = Linear("products")


class TestLinearFromTiles(OfSubnets):
    kind = Linear("steps")


class TestLinearFromTheBestSet(OfSubnets):
    kind = LinearPredictor
