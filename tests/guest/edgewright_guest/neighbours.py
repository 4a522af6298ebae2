"""A predictor of another kind: the average cost of the most similar architectures that were measured."""

import numpy as np
from edgewright.errors import InputError
from edgewright.predictors.conformal import ConformalIntervals
from edgewright.predictors.folds import folds_of
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsRegressor

N_NEIGHBOURS = 4


class NeighbourPredictor(ConformalIntervals):
    def __init__(self, space, quantity):
        self.space, self.quantity = space, quantity

    def fit(self, X, y):
        features, costs = self._checked(X), np.asarray(y, float)
        if costs.shape != (len(features),) or len(costs) < 10 or not (np.isfinite(costs) & (costs > 0)).all():
            raise InputError(f"neighbours need 10 or more finite costs above 0, one a row; got {costs.shape}")
        unseen = np.empty(len(costs))
        folds = folds_of(features)
        for fold in np.unique(folds):
            here = folds == fold
            unseen[here] = _nearest(features[~here], costs[~here]).predict(features[here])
        self._keep(features, costs, np.sort(np.log(costs / unseen)))
        return self

    def predict(self, X):
        self._need_a_fit()
        features = self._checked(X)
        return self._model.predict(features) if len(features) else np.empty(0)

    def interval(self, X, confidence=0.9):
        self._need_a_fit()
        return super().interval(X, confidence)

    def upper(self, X, confidence=0.95):
        self._need_a_fit()
        return super().upper(X, confidence)

    def describe(self):
        self._need_a_fit()
        return {"neighbours": N_NEIGHBOURS}

    def to_json(self):
        self._need_a_fit()
        arrays = {"rows": self._rows.tolist(), "costs": self._costs.tolist(), "errors": self.errors_.tolist()}
        return {"kind": "neighbours", "quantity": self.quantity, **arrays}

    @classmethod
    def from_json(cls, data, space, quantity):
        if data.get("kind") != "neighbours" or data.get("quantity") != quantity:
            raise InputError(f"this is no saved neighbours' predictor of {quantity}; fit it again")
        found = cls(space, quantity)
        found._keep(*(np.array(data[name], float) for name in ("rows", "costs", "errors")))
        return found

    def _keep(self, rows, costs, errors):
        self._rows, self._costs, self.errors_, self.n_records_ = rows, costs, errors, len(costs)
        self._model = _nearest(rows, costs)

    def _need_a_fit(self):
        if not hasattr(self, "errors_"):
            raise NotFittedError("fit the predictor first")

    def _checked(self, X):
        features, n_features = np.asarray(X, float), len(self.space.feature_names)
        if features.ndim != 2 or features.shape[1] != n_features or not np.isfinite(features).all():
            raise InputError(f"features must be finite and of shape (n, {n_features}), got {features.shape}")
        return features


def _nearest(rows, costs):
    return KNeighborsRegressor(N_NEIGHBOURS, weights="distance").fit(rows, costs)
