"""How often a device has to be watched: the distance of two sentinels, from how it drifted before.

Between two sentinels a drifting device is as uncertain as a random walk of which both ends are known (a Brownian
bridge): at worst, half-way, its variance is a quarter of what the walk gathers from one to the other.
"""

from __future__ import annotations

import numpy as np

from ...spaces.features import FloatArray
from .correction import DriftCorrection

USUAL = 20  # records, for a device that nobody has seen yet
_LEAST, _MOST = 5, 40
_TOLERATED = 0.01  # standard deviation of the latency's log between two sentinels
_LAGS = np.array([1, 2, 4, 8, 16, 32])
_PER_STRETCH = 3  # sentinels that a level should be seen by


def sentinel_interval(drift: DriftCorrection) -> int:
    """Records from one sentinel to the next, 5 to 40, for the next campaign of the device that drifted like this."""
    residuals = drift.residual  # (n,), in order of time
    if len(residuals) < 2 * _LAGS[-1]:
        return USUAL
    walk = max(_walk_variance(residuals), 1e-9)
    shortest = min((len(part) for part in drift.stretches), default=len(residuals))
    return int(np.clip(min(4 * _TOLERATED**2 / walk, shortest / _PER_STRETCH), _LEAST, _MOST))


def _walk_variance(residuals: FloatArray) -> float:
    """What the walk gathers per record: differences over a lag have twice the noise's variance plus lag times this."""
    variances = [_variance(residuals[lag:] - residuals[:-lag]) for lag in _LAGS]
    slope, _ = np.polyfit(_LAGS, variances, 1)
    return float(slope)


def _variance(differences: FloatArray) -> float:
    """Robust, so that neither outliers nor a change of level pass for a walk."""
    return float((1.4826 * np.median(np.abs(differences))) ** 2)
