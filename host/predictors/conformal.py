"""Intervals from errors on rows that a fit had not seen: split-conformal (Vovk et al., 2005).

Shapes: `n` rows.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ..spaces.features import FloatArray


def conformal_factor(errors: FloatArray, confidence: float) -> float:
    """The factor that measured / predicted stays below with this confidence.

    `errors` `(n,)` are the logs of this ratio on rows that the fit had not seen. With their absolute values, it bounds
    the error in both directions. Raises `InputError` for a confidence outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence must lie in (0, 1), got {confidence}")
    level = min(1.0, math.ceil((len(errors) + 1) * confidence) / len(errors))
    return math.exp(float(np.quantile(errors, level, method="higher")))


class _Fitted(Protocol):
    errors_: FloatArray

    def predict(self, X: ArrayLike) -> FloatArray: ...


class ConformalIntervals:
    """Base of predictors: `interval` and `upper` from `errors_` and `predict`."""

    def interval(self: _Fitted, X: ArrayLike, confidence: float = 0.9) -> tuple[FloatArray, FloatArray]:
        """Ends `(n,)` that a new measurement lies between with this confidence.

        Raises what `predict` raises, and `InputError` for a confidence outside (0, 1).
        """
        predicted = self.predict(X)
        width = conformal_factor(np.abs(self.errors_), confidence)
        return predicted / width, predicted * width

    def upper(self: _Fitted, X: ArrayLike, confidence: float = 0.95) -> FloatArray:
        """What a new measurement stays below with this confidence, `(n,)`; raises as `interval` does."""
        predicted = self.predict(X)
        return predicted * conformal_factor(self.errors_, confidence)
