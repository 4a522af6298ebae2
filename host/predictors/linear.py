"""Latency and memory as a static part plus non-negative parts per feature (NN-Factory, section 2.6).

Weights are never negative: no module makes a model faster by being open. So a prediction never falls below the static
part, and opening a module never lowers it. The fit minimises squared relative errors, what accuracy is stated in.

Shapes: `n` subnets, `L` sites, `F` features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import nnls
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ..errors import InputError
from ..gates import GateSpace, Layer, Site
from .features import FeatureMap, FeatureSet, FloatArray

SCHEMA = 1
MIN_RECORDS = 10

_Self = TypeVar("_Self", bound="CostPredictor")


class CostPredictor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Common part of the predictors; use `LatencyPredictor` or `MemoryPredictor`.

    Args:
        space: the supernet's gate space.
        layers: its layers, for the products; without any, both feature sets are the same.
        features: "paper" or "products".

    Attributes:
        coef_: `(F,)`, cost of each feature at full width, >= 0.
        intercept_: the static cost, >= 0.
        feature_names_: `(F,)`.
        n_features_in_: `L`.
        n_records_: rows it was fitted on.
    """

    quantity: ClassVar[str]
    unit: ClassVar[str]

    def __init__(self, space: GateSpace, layers: Sequence[Layer] = (), features: FeatureSet = "products") -> None:
        self.space = space
        self.layers = layers
        self.features = features

    def fit(self: _Self, X: ArrayLike, y: ArrayLike) -> _Self:
        """Learn from open modules per site `(n, L)` and measured costs `(n,)`.

        Raises:
            InputError: fewer than 10 rows, counts outside the gate space, costs that are not finite and > 0.
        """
        feature_map = FeatureMap.build(self.space, self.layers, self.features)
        features = feature_map(X)  # (n, F)
        costs = self._checked_costs(y, len(features))
        rows = np.concatenate([features, np.ones((len(costs), 1))], axis=1) / costs[:, None]  # (n, F + 1)
        weights, _ = nnls(rows, np.ones(len(costs)))  # (F + 1,)
        self._set_state(feature_map, weights[:-1], float(weights[-1]), len(costs))
        return self

    def predict(self, X: ArrayLike) -> FloatArray:
        """Open modules per site `(n, L)` -> costs `(n,)`. Raises `NotFittedError`, or `InputError` for wrong counts."""
        check_is_fitted(self, "coef_")
        costs: FloatArray = self._feature_map(X) @ self.coef_ + self.intercept_  # (n,)
        return costs

    def to_json(self) -> dict[str, Any]:
        """All of a fitted predictor. Raises `NotFittedError`."""
        check_is_fitted(self, "coef_")
        return {
            "schema": SCHEMA,
            "quantity": self.quantity,
            "unit": self.unit,
            "features": self.features,
            "sites": [asdict(site) for site in self.space.sites],
            "layers": [asdict(layer) for layer in self.layers],
            "coef": self.coef_.tolist(),
            "intercept": self.intercept_,
            "n_records": self.n_records_,
        }

    @classmethod
    def from_json(cls: type[_Self], data: Mapping[str, Any]) -> _Self:
        """The inverse of `to_json`. Raises `InputError` when `data` is not a predictor of this kind."""
        _check_header(data, cls.quantity)
        try:
            space = GateSpace(tuple(Site(**site) for site in data["sites"]))
            predictor = cls(space, tuple(Layer(**layer) for layer in data["layers"]), data["features"])
            feature_map = FeatureMap.build(space, predictor.layers, predictor.features)
            coef, intercept = np.array(data["coef"], float), float(data["intercept"])
            if coef.shape != (len(feature_map.names),):
                raise ValueError(f"{coef.size} weights for {len(feature_map.names)} features")
            if not (math.isfinite(intercept) and intercept >= 0 and np.isfinite(coef).all() and (coef >= 0).all()):
                raise ValueError("weights must be finite and >= 0")
            predictor._set_state(feature_map, coef, intercept, int(data["n_records"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"the saved {cls.quantity} predictor is damaged ({error}); fit it again with: edgewright predictor fit"
            ) from error
        return predictor

    def _set_state(self, feature_map: FeatureMap, coef: FloatArray, intercept: float, n_records: int) -> None:
        self._feature_map = feature_map
        self.coef_ = coef
        self.intercept_ = intercept
        self.feature_names_ = feature_map.names
        self.n_features_in_ = len(self.space.sites)
        self.n_records_ = n_records

    def _checked_costs(self, y: ArrayLike, n: int) -> FloatArray:
        costs = np.asarray(y, float)
        if costs.shape != (n,):
            raise InputError(f"{self.quantity} must have shape ({n},), one value per subnet, got {costs.shape}")
        if n < MIN_RECORDS:
            raise InputError(
                f"a {self.quantity} predictor needs at least {MIN_RECORDS} measured subnets, got {n}; "
                "measure more with: edgewright profile"
            )
        wrong = costs[~(np.isfinite(costs) & (costs > 0))]
        if wrong.size:
            raise InputError(f"measured {self.quantity} must be finite and > 0 {self.unit}, got {wrong[0]}")
        return costs


class LatencyPredictor(CostPredictor):
    """Median latency in ms of a subnet on one device under one timing protocol."""

    quantity = "latency"
    unit = "ms"


class MemoryPredictor(CostPredictor):
    """Memory in MiB of a subnet on one device, by the definition its measurements follow."""

    quantity = "memory"
    unit = "MiB"


def _check_header(data: Mapping[str, Any], quantity: str) -> None:
    if not isinstance(data, Mapping) or "quantity" not in data or "schema" not in data:
        raise InputError("this is not a saved predictor; fit one with: edgewright predictor fit")
    if data["schema"] != SCHEMA:
        raise InputError(
            f"the saved predictor is of version {data['schema']!r}, this program reads version {SCHEMA}; "
            "fit it again with: edgewright predictor fit"
        )
    if data["quantity"] != quantity:
        raise InputError(f"this is a saved predictor of {data['quantity']!r}, not of {quantity!r}")
