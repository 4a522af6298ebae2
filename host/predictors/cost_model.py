"""Fitted predictors as a search needs them: the predicted costs of architectures, and their upper ends.

Shapes: `n` architectures, `L` recorded features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..architecture import Architecture
from ..costs import CONFIDENCE, Cost, CostModel, Estimate, check_confidence
from .base import Predictor
from .fitting import CostPredictors


def cost_model(predictors: CostPredictors, confidence: float = CONFIDENCE) -> CostModel:
    """Latency and memory of many architectures in one call: predicted, and what a measurement stays below with
    `confidence`. A cost without a predictor is None.

    Raises `InputError` for a confidence outside [0.5, 1).
    """
    check_confidence(confidence)

    def estimate(architectures: Sequence[Architecture]) -> list[Estimate]:
        if not architectures:
            return []
        features = np.array([each.features for each in architectures], float)  # (n, L)
        latency, latency_upper = _column(predictors.latency, features, confidence)
        memory, memory_upper = _column(predictors.memory, features, confidence)
        predicted = [Cost(ms, mib) for ms, mib in zip(latency, memory, strict=True)]
        upper = [Cost(ms, mib) for ms, mib in zip(latency_upper, memory_upper, strict=True)]
        return [Estimate(*ends, confidence) for ends in zip(predicted, upper, strict=True)]

    return estimate


def _column(
    predictor: Predictor | None, features: np.ndarray[tuple[int, int], np.dtype[np.float64]], confidence: float
) -> tuple[list[float | None], list[float | None]]:
    """Predicted costs and their upper ends, each `(n,)`."""
    if predictor is None:
        return [None] * len(features), [None] * len(features)
    return predictor.predict(features).tolist(), predictor.upper(features, confidence).tolist()
