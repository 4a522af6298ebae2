"""Latency and memory as a static part plus non-negative parts per feature (NN-Factory, section 2.6).

Weights are never negative: no module makes a model faster by being open. So a prediction never falls below the static
part, and opening a module never lowers it. The fit minimises relative errors, what accuracy is stated in: squared near
zero, absolute far away (Huber, 1964), since one measurement beside another program must not bend the whole.

Every prediction has an interval: split-conformal, from errors on subnets that a fit had not seen (Vovk et al., 2005).

Shapes: `n` subnets, `L` sites, `F` features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ..errors import InputError
from ..gates import GateSpace, Layer, Site
from .features import FeatureMap, FeatureSet, FloatArray

SCHEMA = 2
MIN_RECORDS = 10

_TILES = (4, 8, 16, 32)
_FOLDS = 5
_ROUNDS = 8
_HUBER = 1.5  # robust standard deviations

_Self = TypeVar("_Self", bound="CostPredictor")


class CostPredictor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Common part of the predictors; use `LatencyPredictor` or `MemoryPredictor`.

    Args:
        space: the supernet's gate space.
        layers: its layers, for the products; without any, both feature sets are the same.
        features: "paper", "products" or "steps".
        tile: output channels of a kernel's tile, for "steps"; None learns it from the rows.

    Attributes:
        tile_: channels; 0 without "steps".
        errors_: `(n,)`, ascending: log of measured over predicted for each row by a fit that had not seen its subnet.
        coef_: `(F,)`, cost of each feature at full width, >= 0.
        intercept_: the static cost, >= 0.
        feature_names_: `(F,)`.
        n_features_in_: `L`.
        n_records_: rows it was fitted on.
    """

    quantity: ClassVar[str]
    unit: ClassVar[str]

    def __init__(
        self,
        space: GateSpace,
        layers: Sequence[Layer] = (),
        features: FeatureSet = "products",
        tile: int | None = None,
    ) -> None:
        self.space = space
        self.layers = layers
        self.features = features
        self.tile = tile

    def fit(self: _Self, X: ArrayLike, y: ArrayLike) -> _Self:
        """Learn from open modules per site `(n, L)` and measured costs `(n,)`.

        Raises:
            InputError: fewer than 10 rows, counts outside the gate space, costs that are not finite and > 0.
        """
        maps = [FeatureMap.build(self.space, self.layers, self.features, tile) for tile in self._tiles()]
        costs = self._checked_costs(y, len(maps[0](X)))
        folds = _folds_by_subnet(np.asarray(X, float))
        unseen = [_unseen_errors(each(X), costs, folds) for each in maps]
        best = int(np.argmin([np.abs(errors).mean() for errors in unseen]))
        weights = _robust_weights(maps[best](X), costs)  # (F + 1,)
        self._set_state(maps[best], weights[:-1], float(weights[-1]), len(costs), np.sort(unseen[best]))
        return self

    def predict(self, X: ArrayLike) -> FloatArray:
        """Open modules per site `(n, L)` -> costs `(n,)`. Raises `NotFittedError`, or `InputError` for wrong counts."""
        check_is_fitted(self, "coef_")
        costs: FloatArray = self._feature_map(X) @ self.coef_ + self.intercept_  # (n,)
        return costs

    def interval(self, X: ArrayLike, confidence: float = 0.9) -> tuple[FloatArray, FloatArray]:
        """Ends `(n,)` that a new measurement lies between with this confidence.

        Raises what `predict` raises, and `InputError` for a confidence outside (0, 1).
        """
        predicted, width = self.predict(X), math.exp(_conformal(np.abs(self.errors_), confidence))
        return predicted / width, predicted * width

    def upper(self, X: ArrayLike, confidence: float = 0.95) -> FloatArray:
        """What a new measurement stays below with this confidence, `(n,)`; raises as `interval` does."""
        return self.predict(X) * math.exp(_conformal(self.errors_, confidence))

    def to_json(self) -> dict[str, Any]:
        """All of a fitted predictor. Raises `NotFittedError`."""
        check_is_fitted(self, "coef_")
        return {
            "schema": SCHEMA,
            "quantity": self.quantity,
            "unit": self.unit,
            "features": self.features,
            "tile": self.tile_,
            "sites": [asdict(site) for site in self.space.sites],
            "layers": [asdict(layer) for layer in self.layers],
            "coef": self.coef_.tolist(),
            "intercept": self.intercept_,
            "n_records": self.n_records_,
            "errors": self.errors_.tolist(),
        }

    @classmethod
    def from_json(cls: type[_Self], data: Mapping[str, Any]) -> _Self:
        """The inverse of `to_json`. Raises `InputError` when `data` is not a predictor of this kind."""
        _check_header(data, cls.quantity)
        try:
            space = GateSpace(tuple(Site(**site) for site in data["sites"]))
            tile = int(data["tile"])
            predictor = cls(space, tuple(Layer(**layer) for layer in data["layers"]), data["features"], tile or None)
            feature_map = FeatureMap.build(space, predictor.layers, predictor.features, tile)
            errors = np.sort(np.array(data["errors"], float))
            coef, intercept = np.array(data["coef"], float), float(data["intercept"])
            if coef.shape != (len(feature_map.names),):
                raise ValueError(f"{coef.size} weights for {len(feature_map.names)} features")
            if not (math.isfinite(intercept) and intercept >= 0 and np.isfinite(coef).all() and (coef >= 0).all()):
                raise ValueError("weights must be finite and >= 0")
            if errors.ndim != 1 or not len(errors) or not np.isfinite(errors).all():
                raise ValueError("errors must be finite numbers")
            predictor._set_state(feature_map, coef, intercept, int(data["n_records"]), errors)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"the saved {cls.quantity} predictor is damaged ({error}); fit it again with: edgewright predictor fit"
            ) from error
        return predictor

    def _tiles(self) -> Sequence[int]:
        if self.features != "steps":
            return (0,)
        return _TILES if self.tile is None else (self.tile,)

    def _set_state(
        self, feature_map: FeatureMap, coef: FloatArray, intercept: float, n_records: int, errors: FloatArray
    ) -> None:
        self._feature_map = feature_map
        self.coef_ = coef
        self.intercept_ = intercept
        self.feature_names_ = feature_map.names
        self.n_features_in_ = len(self.space.sites)
        self.n_records_ = n_records
        self.tile_ = feature_map.tile
        self.errors_ = errors

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


def _robust_weights(features: FloatArray, costs: FloatArray) -> FloatArray:
    """Weights `(F + 1,)` >= 0, the static part last, with the least Huber loss of relative errors."""
    rows = np.concatenate([features, np.ones((len(costs), 1))], axis=1) / costs[:, None]  # (n, F + 1)
    trust = np.ones(len(costs))
    for _ in range(_ROUNDS):
        root = np.sqrt(trust)
        weights, _ = nnls(rows * root[:, None], root, maxiter=100 * rows.shape[1])  # (F + 1,)
        errors = np.abs(rows @ weights - 1)  # (n,)
        reach = _HUBER * 1.4826 * float(np.median(errors))
        trust = np.minimum(1.0, max(reach, 1e-9) / np.maximum(errors, 1e-12))
    return weights


def _folds_by_subnet(counts: FloatArray) -> NDArray[np.intp]:
    """`(n,)`: what was measured twice lies in one fold, or a fit would have seen what it is judged by."""
    _, subnet = np.unique(counts, axis=0, return_inverse=True)
    return subnet.reshape(-1) % _FOLDS


def _unseen_errors(features: FloatArray, costs: FloatArray, folds: NDArray[np.intp]) -> FloatArray:
    """Log of measured over predicted `(n,)`, each row by a fit to the other folds."""
    rows = np.concatenate([features, np.ones((len(costs), 1))], axis=1)  # (n, F + 1)
    predicted = np.empty(len(costs))
    for fold in np.unique(folds):
        seen, unseen = folds != fold, folds == fold
        if not seen.any():  # one subnet, many times: there is nothing to judge by
            seen = unseen
        predicted[unseen] = rows[unseen] @ _robust_weights(features[seen], costs[seen])
    floor = 1e-3 * float(costs.min())
    errors: FloatArray = np.log(costs / np.maximum(predicted, floor))
    return errors


def _conformal(errors: FloatArray, confidence: float) -> float:
    if not 0 < confidence < 1:
        raise InputError(f"confidence must lie in (0, 1), got {confidence}")
    level = min(1.0, math.ceil((len(errors) + 1) * confidence) / len(errors))
    return float(np.quantile(errors, level, method="higher"))


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
