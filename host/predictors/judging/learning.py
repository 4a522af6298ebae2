"""How many subnets are enough: error against the number of profiled ones (NN-Factory, Fig. 13), and what more bring.

Shapes: `k` training sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls

from ...architecture import Architecture
from ...errors import InputError
from ...profiling.columns import RecordColumns, Recorded
from ...spaces.base import FeatureSpace
from ...wording import counted
from ..drift.correction import drift_of, undisturbed
from ..fitting import Table, costs_of
from ..linear import MIN_RECORDS, LinearPredictor
from .metrics import mape

MORE = 40
MIN_SUBNETS = 40
_WORTH_IT = 0.1  # percentage points of error
_TEST_SHARE = 0.25
_DRAWS = 5
_SMALLEST = 20
_MOST = 2048  # subnets that a curve is drawn of; by then it is flat


@dataclass(frozen=True)
class SizePoint:
    """Held-out error in percent after `n_train` subnets: mean, least and most of several draws."""

    n_train: int
    mape: float
    least: float
    most: float


@dataclass(frozen=True)
class LearningCurve:
    """`gain` is what `MORE` further subnets are expected to take off the error, in percentage points."""

    points: tuple[SizePoint, ...]
    gain: float
    n_subnets: int

    @property
    def sentence(self) -> str:
        if self.gain < _WORTH_IT:
            return f"{MORE} more subnets would gain less than {_WORTH_IT:g} %: {self.n_subnets} are enough"
        return f"{MORE} more subnets would gain about {self.gain:.1f} %: profile more"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "more": MORE, "sentence": self.sentence}


def learning_curve(
    records: Recorded, space: FeatureSpace[Architecture], rng: np.random.Generator
) -> LearningCurve:
    """Latency error on a quarter of the subnets, kept from training, for training sizes that double.

    Of a long campaign 2048 subnets are drawn, each time others.

    Raises:
        InputError: fewer than 40 subnets.
    """
    columns = RecordColumns.of(records)
    taught = undisturbed(columns, drift_of(columns, space))
    features, costs = costs_of(taught.take(taught.of_kind("subnet")), "latency", space)
    if len(costs) < MIN_SUBNETS:
        measured = counted(len(costs), "measured subnet is", "measured subnets are")
        raise InputError(
            f"{measured} too few for a learning curve: at least {MIN_SUBNETS} are needed; "
            "measure more with: edgewright profile"
        )
    n_drawn = min(len(costs), _MOST)
    n_test = round(_TEST_SHARE * n_drawn)
    sizes = _sizes(n_drawn - n_test)
    draws = [rng.permutation(len(costs))[:n_drawn] for _ in range(_DRAWS)]
    errors = np.array([_errors((features[d], costs[d]), n_test, sizes, space) for d in draws])  # (draws, k)
    points = [
        SizePoint(size, float(column.mean()), float(column.min()), float(column.max()))
        for size, column in zip(sizes, errors.T, strict=True)
    ]
    return LearningCurve(tuple(points), _gain(sizes, errors.mean(0), len(costs)), len(costs))


def _sizes(most: int) -> list[int]:
    doubled = [_SMALLEST * 2**power for power in range(20)]
    return [*(size for size in doubled if size < 0.8 * most), most]


def _errors(drawn: Table, n_test: int, sizes: Sequence[int], space: FeatureSpace[Architecture]) -> list[float]:
    """Percent, for each size; the first rows test, and a smaller training set is a part of the larger ones."""
    features, costs = drawn
    errors = []
    for size in sizes:
        train = slice(n_test, n_test + max(size, MIN_RECORDS))
        fitted = LinearPredictor(space, "latency", space.feature_sets[-1]).fit(features[train], costs[train])
        errors.append(mape(costs[:n_test], fitted.predict(features[:n_test])))
    return errors


def _gain(sizes: Sequence[int], errors: np.ndarray[Any, np.dtype[np.float64]], n_now: int) -> float:
    """From error = floor + slope / n, fitted to the curve; what is left above the floor is what data can take off."""
    slope = nnls(np.column_stack([np.ones(len(sizes)), 1 / np.array(sizes)]), errors)[0][1]
    return float(slope / n_now - slope / (n_now + MORE))
