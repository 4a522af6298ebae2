"""How far a device's predictors can be trusted: errors on subnets they have not seen, beside the noise floor."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from ...architecture import Architecture
from ...errors import InputError
from ...profiling.columns import BoolArray, RecordColumns, Recorded
from ...spaces.base import FeatureSpace
from ...spaces.features import FloatArray
from ...wording import counted
from ..base import DEFAULT, PREDICTORS, Predictor, Quantity
from ..drift.correction import drift_of, undisturbed
from ..fitting import Table, costs_of
from ..folds import groups_of
from ..linear import MIN_RECORDS, LinearPredictor
from .metrics import errors_of, repeat_differences

MIN_TEST = 5


@dataclass(frozen=True)
class Score:
    """One predictor on held-out architectures. Percentages but for `spearman`, None where a side is constant.

    `features` is the linear predictor's feature set, or the name of another predictor.
    """

    quantity: Quantity
    features: str
    accuracy: float
    mape: float
    within_5: float
    within_10: float
    spearman: float | None
    n_train: int
    n_test: int


@dataclass(frozen=True)
class NoiseFloor:
    """MAPE in percent between the first and the second measurement of the same architectures; None without any."""

    latency: float | None
    memory: float | None
    n_repeated: int


@dataclass(frozen=True)
class PredictorReport:
    """Every feature set and quantity on the same held-out architectures. Without memory measurements: latency only.

    Latencies are those of the undisturbed device; `disturbances` has a sentence on each disturbance.
    """

    scores: tuple[Score, ...]
    noise_floor: NoiseFloor
    n_subnets: int
    n_failed: int
    disturbances: tuple[str, ...] = ()

    def score(self, quantity: Quantity, features: str) -> Score | None:
        return next((s for s in self.scores if s.quantity == quantity and s.features == features), None)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def evaluate(
    records: Recorded,
    space: FeatureSpace[Architecture],
    test_share: float = 0.25,
    seed: int = 0,
    predictor: str = DEFAULT,
) -> PredictorReport:
    """Fit on some architectures and predict the others, deterministic from `seed`: linearly from every feature set of
    the space, and with another `predictor` where one is named.

    What was measured twice is wholly on one side; its second measurement trains too, but only first ones are tested.

    Raises:
        InputError: too few architectures for a split, `test_share` outside (0, 1), or records of another space.
    """
    if not 0 < test_share < 1:
        raise InputError(f"`0 < test_share < 1` must hold, but got test_share={test_share}")
    columns = RecordColumns.of(records)
    drift = drift_of(columns, space)  # checks that they are of this space
    taught = undisturbed(columns, drift)
    rows = taught.take(taught.usable)
    subnets = groups_of(rows.recorded)  # (n,)
    n_subnets = int(subnets.max()) + 1 if len(rows) else 0
    unseen = _hold_out(n_subnets, test_share, np.random.default_rng(seed))[subnets]  # (n,)
    scores: list[Score] = []
    for quantity in get_args(Quantity):
        if len(costs_of(rows, quantity, space)[1]):
            scores += _scores(quantity, rows, unseen, space, predictor)
    return PredictorReport(
        scores=tuple(scores),
        noise_floor=noise_floor(taught),
        n_subnets=n_subnets,
        n_failed=int(columns.failed.sum()),
        disturbances=tuple(sentence for each in drift.values() for sentence in each.sentences),
    )


def noise_floor(records: Recorded) -> NoiseFloor:
    """How much the same architecture differs from itself, from one measurement to the next."""
    columns = RecordColumns.of(records)
    rows = columns.take(columns.usable)
    digests = rows.digests[rows.architecture]  # (n,)
    latency, memory = (_differences(digests, costs) for costs in (rows.latency_ms, rows.memory_mib))
    means = [float(np.mean(found)) if found else None for found in (latency, memory)]
    return NoiseFloor(means[0], means[1], len(latency))


def _differences(digests: NDArray[np.bytes_], costs: FloatArray) -> list[float]:
    known = ~np.isnan(costs)
    return repeat_differences(zip(digests[known].tolist(), costs[known].tolist(), strict=True))


def _hold_out(n_subnets: int, test_share: float, rng: np.random.Generator) -> BoolArray:
    """Which architectures `(n_subnets,)`, in ascending order of their features, are kept from training."""
    n_test = round(test_share * n_subnets)
    if n_test < MIN_TEST or n_subnets - n_test < MIN_RECORDS:
        measured = counted(n_subnets, "measured subnet is", "measured subnets are")
        raise InputError(
            f"{measured} too few to judge a predictor: at least {MIN_RECORDS} to fit and "
            f"{MIN_TEST} to test are needed; measure more with: edgewright profile"
        )
    kept = np.zeros(n_subnets, bool)
    kept[rng.choice(n_subnets, n_test, replace=False)] = True
    return kept


def _scores(
    quantity: Quantity,
    rows: RecordColumns,
    unseen: BoolArray,
    space: FeatureSpace[Architecture],
    predictor: str,
) -> list[Score]:
    train = costs_of(rows.take(~unseen), quantity, space)
    test = costs_of(rows.take(unseen & rows.of_kind("subnet")), quantity, space)
    if not len(test[1]):
        raise InputError(f"no held-out subnet has a measured {quantity}; measure more with: edgewright profile")
    judged: dict[str, Predictor] = {name: LinearPredictor(space, quantity, name) for name in space.feature_sets}
    if predictor != DEFAULT:
        judged[predictor] = PREDICTORS.get(predictor)(space, quantity)
    return [_score(quantity, name, each.fit(*train), test, len(train[1])) for name, each in judged.items()]


def _score(quantity: Quantity, features: str, fitted: Predictor, test: Table, n_train: int) -> Score:
    recorded, true = test
    errors = errors_of(true, fitted.predict(recorded))
    return Score(
        quantity=quantity,
        features=features,
        accuracy=errors.accuracy,
        mape=errors.mape,
        within_5=errors.within_5,
        within_10=errors.within_10,
        spearman=errors.spearman,
        n_train=n_train,
        n_test=len(true),
    )
