"""A latency predictor for rows in measurement order: what a row is, times how the device was at that time.

A device drifts: it warms up, it throttles, other programs use it, a new session begins. On public measurement sets
that is most of a predictor's error. Latency is modelled as f(x) g(t): a polynomial f of the features, fitted to
relative errors, and a slow factor g, the running median of the neighbours' residuals. The two are fitted in turn.

Shapes: `n` rows, `F` features, `P` polynomial terms, `q` rows to predict.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.utils.validation import check_is_fitted

from ...errors import InputError
from ...spaces.features import FloatArray
from ..conformal import conformal_factor
from ..folds import folds_of
from .levels import running_median

_ROUNDS = 4
_ALPHAS = np.logspace(-7, 1, 9)
_MOST_TERMS = 1000
_NEIGHBOURS = (8, 16, 32, 64)
_LEAST_OF_SMALLEST = 0.01  # predictions stay above this share of the smallest latency seen
_FOLDS = 4

_Self = TypeVar("_Self", bound="DriftingPredictor")


class DriftingPredictor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Latency of rows that were measured one after the other.

    Args:
        degree: of the polynomial; None lets cross-validation on the rows choose 1 or 2.
        neighbours: how many training rows around a time tell the drift there. 0: none is assumed; None lets
            cross-validation choose, 0 included, so that a set without drift is not harmed.

    Attributes:
        degree_, neighbours_: what was chosen.
        errors_: `(n,)`, log of measured over predicted for each row by a model that had not seen it.
        n_features_in_: `F`.
    """

    def __init__(self, degree: int | None = None, neighbours: int | None = None) -> None:
        self.degree = degree
        self.neighbours = neighbours

    def fit(self: _Self, X: ArrayLike, y: ArrayLike, order: ArrayLike | None = None) -> _Self:
        """Learn from features `(n, F)`, latencies `(n,)` > 0 and when they were measured `(n,)`.

        Without `order` there is no drift term.
        """
        features, latencies = np.asarray(X, float), np.asarray(y, float)
        when = None if order is None else np.asarray(order, float)
        self.n_features_in_ = features.shape[1]
        tried: dict[tuple[int, int], FloatArray] = {}

        def badness(choice: tuple[int, int]) -> float:
            if choice not in tried:
                tried[choice] = _errors_unseen(*choice, features, latencies, when)
            return float(np.abs(tried[choice]).mean())

        # One after the other: which degree is better hardly depends on how the drift is followed.
        neighbours = self._neighbours(len(latencies), when is not None)
        usual = neighbours[len(neighbours) // 2]
        degree = min(self._degrees(features.shape[1]), key=lambda each: badness((each, usual)))
        self.degree_, self.neighbours_ = min(((degree, each) for each in neighbours), key=badness)
        self.errors_ = tried[self.degree_, self.neighbours_]
        self._model = _Model(self.degree_, self.neighbours_).fit(features, latencies, when)
        return self

    def predict(self, X: ArrayLike, order: ArrayLike | None = None) -> FloatArray:
        """Features `(q, F)` -> latencies `(q,)`, each as at its time `order`; without it, as free of drift.

        Raises: `NotFittedError`; `InputError` for another number of features.
        """
        check_is_fitted(self, "errors_")
        features = np.asarray(X, float)
        if features.ndim != 2 or features.shape[1] != self.n_features_in_:
            raise InputError(f"features must have shape (q, {self.n_features_in_}), got {features.shape}")
        return self._model.predict(features, None if order is None else np.asarray(order, float))

    def interval(
        self, X: ArrayLike, order: ArrayLike | None = None, confidence: float = 0.9
    ) -> tuple[FloatArray, FloatArray]:
        """Lower and upper ends `(q,)` that a new measurement lies between with this confidence."""
        latencies = self.predict(X, order)
        width = conformal_factor(np.abs(self.errors_), confidence)
        return latencies / width, latencies * width

    def _degrees(self, n_features: int) -> list[int]:
        if self.degree is not None:
            return [self.degree]
        return [1, 2] if n_features * (n_features + 3) // 2 <= _MOST_TERMS else [1]

    def _neighbours(self, n_rows: int, has_order: bool) -> list[int]:
        if not has_order:
            return [0]
        if self.neighbours is not None:
            return [self.neighbours]
        return [0, *(k for k in _NEIGHBOURS if k <= n_rows // 4)]


class _Model:
    """f(x) g(t) for one degree and one number of neighbours."""

    def __init__(self, degree: int, neighbours: int) -> None:
        self._degree, self._neighbours = degree, neighbours

    def fit(self, features: FloatArray, latencies: FloatArray, order: FloatArray | None) -> _Model:
        self._terms = _polynomial(self._degree).fit(features)
        terms = self._terms.transform(features)  # (n, P)
        self._scale = float(np.median(latencies))
        self._least = _LEAST_OF_SMALLEST * float(latencies.min()) / self._scale
        costs = latencies / self._scale  # (n,)
        self._order, self._residuals = order, np.zeros(len(costs))
        factors = np.ones(len(costs))  # g at the rows
        ridge = RidgeCV(_ALPHAS)
        for _ in range(_ROUNDS if self._neighbours else 1):
            # Weighted so that the errors that are squared are relative ones, what accuracy is stated in.
            self._ridge = ridge.fit(terms, costs / factors, sample_weight=(factors / costs) ** 2)
            if isinstance(ridge, RidgeCV):
                ridge = Ridge(ridge.alpha_, solver="cholesky")  # chosen once: it hardly changes, and costs most
            self._residuals = np.log(costs / self._static(terms))
            if self._neighbours:
                assert order is not None
                factors = np.exp(running_median(order, self._residuals, order, self._neighbours))
        return self

    def predict(self, features: FloatArray, order: FloatArray | None) -> FloatArray:
        latencies: FloatArray = self._scale * self._static(self._terms.transform(features))  # (q,)
        if order is None or not self._neighbours or self._order is None:
            return latencies
        return latencies * np.exp(running_median(self._order, self._residuals, order, self._neighbours))

    def _static(self, terms: FloatArray) -> FloatArray:
        """f, kept above zero where a polynomial runs away."""
        return np.maximum(self._ridge.predict(terms), self._least)


def _polynomial(degree: int) -> Pipeline:
    return make_pipeline(StandardScaler(), PolynomialFeatures(degree, include_bias=False), StandardScaler())


def _errors_unseen(
    degree: int, neighbours: int, features: FloatArray, latencies: FloatArray, order: FloatArray | None
) -> FloatArray:
    """Log of measured over predicted `(n,)`, each row by a model of the other folds."""
    folds = folds_of(np.arange(len(latencies)), _FOLDS)
    errors = np.empty(len(latencies))
    for fold in range(_FOLDS):
        seen, unseen = folds != fold, folds == fold
        model = _Model(degree, neighbours).fit(features[seen], latencies[seen], _part(order, seen))
        errors[unseen] = np.log(latencies[unseen] / model.predict(features[unseen], _part(order, unseen)))
    return errors


def _part(order: FloatArray | None, rows: NDArray[np.bool_]) -> FloatArray | None:
    return None if order is None else order[rows]
