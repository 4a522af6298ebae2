"""The protocol of a predictor of a device's costs, in scikit-learn's terms, and the known predictors by name.

Shapes: `n` architectures, `L` recorded features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from numpy.typing import ArrayLike

from ..architecture import Architecture
from ..plugins import Guests
from ..spaces.base import FeatureSpace
from ..spaces.features import FloatArray

Quantity = Literal["latency", "memory"]
UNITS: Mapping[Quantity, str] = {"latency": "ms", "memory": "MiB"}

DEFAULT = "linear"


class Predictor(Protocol):
    """One cost of one device, learnt from measurements.

    Once fitted: `errors_` `(n,)`, ascending, are logs of measured over predicted for each row by a fit that had not
    seen its architecture; `n_records_` counts the rows. Before that, everything but `fit` raises scikit-learn's
    `NotFittedError`.
    """

    errors_: FloatArray
    n_records_: int

    def fit(self, X: ArrayLike, y: ArrayLike) -> Predictor:
        """Learn from recorded features `(n, L)` and costs `(n,)`; returns itself.

        Equal data give equal predictors. Raises `InputError` for too few rows, features that no architecture of the
        space has, and costs that are not finite and above 0.
        """

    def predict(self, X: ArrayLike) -> FloatArray:
        """Recorded features `(n, L)` -> costs `(n,)` > 0. Raises `InputError` for features as `fit` does."""

    def interval(self, X: ArrayLike, confidence: float = 0.9) -> tuple[FloatArray, FloatArray]:
        """Ends `(n,)` that a new measurement lies between with this confidence.

        Raises what `predict` raises, and `InputError` for a confidence outside (0, 1).
        """

    def upper(self, X: ArrayLike, confidence: float = 0.95) -> FloatArray:
        """What a new measurement stays below with this confidence, `(n,)`; raises as `interval` does."""

    def describe(self) -> dict[str, Any]:
        """What the fit found, in a few words by name, for people; JSON."""

    def to_json(self) -> dict[str, Any]:
        """All of a fitted predictor, for `from_json`; JSON without NaN."""


class PredictorKind(Protocol):
    """A guest: the class of a predictor, or what makes and reads one."""

    def __call__(self, space: FeatureSpace[Architecture], quantity: Quantity) -> Predictor:
        """An unfitted predictor of one cost of the space's architectures."""

    def from_json(self, data: Mapping[str, Any], space: FeatureSpace[Architecture], quantity: Quantity) -> Predictor:
        """The inverse of `to_json`. Raises `InputError` when `data` is not a predictor of this kind, space and cost."""


PREDICTORS: Guests[PredictorKind] = Guests(
    "edgewright.predictors", "predictor", {DEFAULT: "edgewright.predictors.linear:LinearPredictor"}
)
