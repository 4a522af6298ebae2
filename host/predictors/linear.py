"""Latency and memory as a static part plus non-negative parts per feature (NN-Factory, section 2.6).

Weights are never negative: nothing makes a model faster by being larger. So a prediction never falls below the static
part, and opening a module never lowers it. The fit minimises relative errors, what accuracy is stated in: squared near
zero, absolute far away (Huber, 1964), since one measurement beside another program must not bend the whole.

Every prediction has an interval: split-conformal, from errors on subnets that a fit had not seen (Vovk et al., 2005).

Shapes: `n` architectures, `L` recorded features, `F` mapped features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ..architecture import Architecture
from ..errors import InputError
from ..spaces.base import FeatureSpace
from ..spaces.features import FeatureMap, FloatArray
from .base import UNITS, Quantity
from .conformal import ConformalIntervals
from .folds import folds_of, sample

SCHEMA = 3
MIN_RECORDS = 10

_ROUNDS = 8
_HUBER = 1.5  # robust standard deviations
_ROUNDS_OF_ALL = 2  # after those of a sample, which come near
_BLOCK = 65536  # rows whose mapped features are in memory at once
_NO_BETTER = 1.01  # a richer feature set must err less than a simpler one by more than this factor

_Self = TypeVar("_Self", bound="LinearPredictor")


class LinearPredictor(ConformalIntervals, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Median latency in ms, or memory in MiB, of a space's architectures on one device under one timing protocol.

    Args:
        space: says what the recorded features are, and in which ways costs may follow from them.
        quantity: "latency" or "memory".
        features: one of the space's feature sets; None takes the one that predicts unseen architectures best, a
            simpler one where they hardly differ.

    Attributes:
        features_: the feature set.
        feature_map_: the map of it that predicts unseen architectures best, for instance a size of tiles.
        errors_: `(n,)`, ascending: log of measured over predicted for each row by a fit that had not seen it; of more
            than `folds.MOST` rows for a sample of so many.
        coef_: `(F,)`, cost of each mapped feature at 1, >= 0.
        intercept_: the static cost, >= 0.
        feature_names_: `(F,)`.
        n_features_in_: `L`.
        n_records_: rows it was fitted on.
    """

    def __init__(
        self, space: FeatureSpace[Architecture], quantity: Quantity, features: str | None = None
    ) -> None:
        self.space = space
        self.quantity = quantity
        self.features = features

    def fit(self: _Self, X: ArrayLike, y: ArrayLike) -> _Self:
        """Learn from recorded features `(n, L)` and measured costs `(n,)`.

        Raises:
            InputError: fewer than 10 rows, features that no architecture of the space has, costs that are not finite
                and > 0, or an unknown feature set.
        """
        offered = self.space.feature_sets if self.features is None else (self.features,)
        maps = [(name, each) for name in offered for each in self.space.feature_maps(name)]
        recorded = np.asarray(X, float)
        costs = self._checked_costs(y, len(maps[0][1](recorded)))
        rows = sample(len(costs))
        some, some_costs = recorded[rows], costs[rows]
        folds = folds_of(some)
        unseen = [_unseen_errors(each(some), some_costs, folds) for _, each in maps]
        best = _choose([name for name, _ in maps], [float(np.abs(errors).mean()) for errors in unseen])
        features, chosen = maps[best]
        weights = _robust_weights(chosen(some), some_costs)  # (F + 1,)
        if len(rows) < len(costs):
            weights = _weights_of_all(chosen, recorded, costs, weights)
        self._set_state(features, chosen, weights[:-1], float(weights[-1]), len(costs), np.sort(unseen[best]))
        return self

    def predict(self, X: ArrayLike) -> FloatArray:
        """Recorded features `(n, L)` -> costs `(n,)`. Raises `NotFittedError`, or `InputError` for foreign features."""
        check_is_fitted(self, "coef_")
        recorded = np.asarray(X, float)
        parts = [self.feature_map_(recorded[rows]) @ self.coef_ + self.intercept_ for rows in _blocks(len(recorded))]
        costs: FloatArray = np.concatenate(parts)  # (n,)
        return costs

    def describe(self) -> dict[str, Any]:
        """The feature set, and the tile that was found in it, in channels. Raises `NotFittedError`."""
        check_is_fitted(self, "coef_")
        return {"features": self.features_, "tile": self.feature_map_.tile or None}

    def to_json(self) -> dict[str, Any]:
        """All of a fitted predictor. Raises `NotFittedError`."""
        check_is_fitted(self, "coef_")
        return {
            "schema": SCHEMA,
            "quantity": self.quantity,
            "unit": UNITS[self.quantity],
            "space": {"kind": self.space.kind, "digest": self.space.digest},
            "features": self.features_,
            "map": self.feature_map_.name,
            "feature_names": list(self.feature_names_),
            "coef": self.coef_.tolist(),
            "intercept": self.intercept_,
            "n_records": self.n_records_,
            "errors": self.errors_.tolist(),
        }

    @classmethod
    def from_json(
        cls: type[_Self], data: Mapping[str, Any], space: FeatureSpace[Architecture], quantity: Quantity
    ) -> _Self:
        """The inverse of `to_json`. Raises `InputError` when `data` is not a predictor of this space and cost."""
        _check_header(data, quantity, space)
        try:
            predictor = cls(space, quantity, str(data["features"]))
            feature_map = _map_named(space, data)
            errors = np.sort(np.array(data["errors"], float))
            coef, intercept = np.array(data["coef"], float), float(data["intercept"])
            if coef.shape != (len(feature_map.names),):
                raise ValueError(f"{coef.size} weights for {len(feature_map.names)} features")
            if not (math.isfinite(intercept) and intercept >= 0 and np.isfinite(coef).all() and (coef >= 0).all()):
                raise ValueError("weights must be finite and >= 0")
            if errors.ndim != 1 or not len(errors) or not np.isfinite(errors).all():
                raise ValueError("errors must be finite numbers")
            predictor._set_state(str(data["features"]), feature_map, coef, intercept, int(data["n_records"]), errors)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"the saved {quantity} predictor is damaged ({error}); fit it again") from error
        return predictor

    def _set_state(
        self,
        features: str,
        feature_map: FeatureMap,
        coef: FloatArray,
        intercept: float,
        n_records: int,
        errors: FloatArray,
    ) -> None:
        self.features_ = features
        self.feature_map_ = feature_map
        self.coef_ = coef
        self.intercept_ = intercept
        self.feature_names_ = feature_map.names
        self.n_features_in_ = len(self.space.feature_names)
        self.n_records_ = n_records
        self.errors_ = errors

    def _checked_costs(self, y: ArrayLike, n: int) -> FloatArray:
        costs = np.asarray(y, float)
        if costs.shape != (n,):
            raise InputError(f"{self.quantity} must have shape ({n},), one value per architecture, got {costs.shape}")
        if n < MIN_RECORDS:
            raise InputError(
                f"a {self.quantity} predictor needs at least {MIN_RECORDS} measurements, got {n}; "
                "measure more with: edgewright profile"
            )
        wrong = costs[~(np.isfinite(costs) & (costs > 0))]
        if wrong.size:
            raise InputError(f"measured {self.quantity} must be finite and > 0 {UNITS[self.quantity]}, got {wrong[0]}")
        return costs


def _choose(sets: Sequence[str], errors: Sequence[float]) -> int:
    """The index of the best map of the first feature set that errs hardly more than the best of all."""
    best = {name: min(e for n, e in zip(sets, errors, strict=True) if n == name) for name in dict.fromkeys(sets)}
    chosen = next(name for name, error in best.items() if error <= _NO_BETTER * min(errors) + 1e-6)
    return next(i for i, (n, e) in enumerate(zip(sets, errors, strict=True)) if n == chosen and e == best[chosen])


def _robust_weights(features: FloatArray, costs: FloatArray) -> FloatArray:
    """Weights `(F + 1,)` >= 0, the static part last, with the least Huber loss of relative errors."""
    rows = _relative(features, costs)  # (n, F + 1)
    trust = np.ones(len(costs))
    for _ in range(_ROUNDS):
        root = np.sqrt(trust)
        weights, _ = nnls(rows * root[:, None], root, maxiter=100 * rows.shape[1])  # (F + 1,)
        trust = _trust(np.abs(rows @ weights - 1))
    return weights


def _weights_of_all(
    feature_map: FeatureMap, recorded: FloatArray, costs: FloatArray, weights: FloatArray
) -> FloatArray:
    """As `_robust_weights`, from weights `(F + 1,)` that come near, in memory that does not grow with `F`."""

    def rows_of(block: slice) -> FloatArray:
        return _relative(feature_map(recorded[block]), costs[block])

    blocks = _blocks(len(costs))
    for _ in range(_ROUNDS_OF_ALL):
        root = np.sqrt(_trust(np.concatenate([np.abs(rows_of(block) @ weights - 1) for block in blocks])))  # (n,)
        # A triangle has the same least squares as the rows that it was made of: Golub, 1965.
        triangle = np.empty((0, len(weights) + 1))
        for block in blocks:
            rows = np.column_stack([rows_of(block), np.ones(block.stop - block.start)]) * root[block, None]
            triangle = np.asarray(np.linalg.qr(np.concatenate([triangle, rows]), mode="r"))  # (F + 2, F + 2)
        weights, _ = nnls(triangle[:, :-1], triangle[:, -1], maxiter=100 * len(weights))
    return weights


def _relative(features: FloatArray, costs: FloatArray) -> FloatArray:
    """Rows `(n, F + 1)` whose products with the right weights are 1."""
    rows: FloatArray = np.concatenate([features, np.ones((len(costs), 1))], axis=1) / costs[:, None]
    return rows


def _trust(errors: FloatArray) -> FloatArray:
    """Huber's weights `(n,)` of rows with relative errors `(n,)` >= 0."""
    reach = _HUBER * 1.4826 * float(np.median(errors))
    trust: FloatArray = np.minimum(1.0, max(reach, 1e-9) / np.maximum(errors, 1e-12))
    return trust


def _blocks(n: int) -> list[slice]:
    """All rows in order, at least one block of them."""
    return [slice(start, min(start + _BLOCK, n)) for start in range(0, max(n, 1), _BLOCK)]


def _unseen_errors(features: FloatArray, costs: FloatArray, folds: NDArray[np.intp]) -> FloatArray:
    """Log of measured over predicted `(n,)`, each row by a fit to the other folds."""
    rows = np.concatenate([features, np.ones((len(costs), 1))], axis=1)  # (n, F + 1)
    predicted = np.empty(len(costs))
    for fold in np.unique(folds):
        seen, unseen = folds != fold, folds == fold
        if not seen.any():  # one architecture, many times: there is nothing to judge by
            seen = unseen
        predicted[unseen] = rows[unseen] @ _robust_weights(features[seen], costs[seen])
    floor = 1e-3 * float(costs.min())
    errors: FloatArray = np.log(costs / np.maximum(predicted, floor))
    return errors


def _map_named(space: FeatureSpace[Architecture], data: Mapping[str, Any]) -> FeatureMap:
    """The map that a predictor was fitted with. Raises `ValueError` where its space has another one of that name."""
    maps = {each.name: each for each in space.feature_maps(str(data["features"]))}
    feature_map = maps.get(data["map"])
    if feature_map is None or list(feature_map.names) != data["feature_names"]:
        raise ValueError(f"its space has no features {data['map']!r} of these names")
    return feature_map


def _check_header(data: Mapping[str, Any], quantity: str, space: FeatureSpace[Architecture]) -> None:
    if not isinstance(data, Mapping) or "quantity" not in data or "schema" not in data:
        raise InputError("this is not a saved predictor; fit one with: edgewright predictor fit")
    if data["schema"] != SCHEMA:
        raise InputError(
            f"the saved predictor is of version {data['schema']!r}, this program reads version {SCHEMA}; fit it again"
        )
    if data["quantity"] != quantity:
        raise InputError(f"this is a saved predictor of {data['quantity']!r}, not of {quantity!r}")
    if data.get("space") != {"kind": space.kind, "digest": space.digest}:
        raise InputError(f"this predictor was fitted to the space {data.get('space')}, not to {space.digest}; fit anew")
