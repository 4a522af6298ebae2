"""How far a device's predictors can be trusted: errors on subnets they have not seen, beside the noise floor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np

from ...architecture import Architecture
from ...errors import InputError
from ...profiling.records import Record
from ...spaces.base import FeatureSpace
from ...wording import counted
from ..base import DEFAULT, PREDICTORS, Predictor, Quantity
from ..drift.correction import drift_of, teaching
from ..fitting import Table, table, usable, value
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
    records: Iterable[Record],
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
    records = list(records)
    table(usable(records), "latency", space)  # checks that they are of this space
    drift = drift_of(records, space)
    n_failed = sum(record.error is not None for record in records)
    records = teaching(records, drift)
    rows = usable(records)
    unseen = _hold_out(rows, test_share, np.random.default_rng(seed))
    scores: list[Score] = []
    for quantity in get_args(Quantity):
        known = [record for record in rows if value(record, quantity) is not None]
        if known:
            scores += _scores(quantity, known, unseen, space, predictor)
    return PredictorReport(
        scores=tuple(scores),
        noise_floor=noise_floor(records),
        n_subnets=len({record.features for record in rows}),
        n_failed=n_failed,
        disturbances=tuple(sentence for each in drift.values() for sentence in each.sentences),
    )


def noise_floor(records: Iterable[Record]) -> NoiseFloor:
    """How much the same architecture differs from itself, from one measurement to the next."""
    rows = usable(records)
    floors = {quantity: _differences(rows, quantity) for quantity in get_args(Quantity)}
    means = {quantity: float(np.mean(found)) if found else None for quantity, found in floors.items()}
    return NoiseFloor(means["latency"], means["memory"], len(floors["latency"]))


def _differences(rows: Sequence[Record], quantity: Quantity) -> list[float]:
    known = [(row.architecture.digest, value(row, quantity)) for row in rows]
    return repeat_differences((digest, cost) for digest, cost in known if cost is not None)


def _hold_out(rows: Sequence[Record], test_share: float, rng: np.random.Generator) -> set[tuple[float, ...]]:
    """Features of the architectures that are kept from training."""
    different = sorted({record.features for record in rows})
    n_test = round(test_share * len(different))
    if n_test < MIN_TEST or len(different) - n_test < MIN_RECORDS:
        measured = counted(len(different), "measured subnet is", "measured subnets are")
        raise InputError(
            f"{measured} too few to judge a predictor: at least {MIN_RECORDS} to fit and "
            f"{MIN_TEST} to test are needed; measure more with: edgewright profile"
        )
    return {different[index] for index in rng.choice(len(different), n_test, replace=False)}


def _scores(
    quantity: Quantity,
    known: Sequence[Record],
    unseen: set[tuple[float, ...]],
    space: FeatureSpace[Architecture],
    predictor: str,
) -> list[Score]:
    train = table([record for record in known if record.features not in unseen], quantity, space)
    tested = [record for record in known if record.features in unseen and record.kind == "subnet"]
    if not tested:
        raise InputError(f"no held-out subnet has a measured {quantity}; measure more with: edgewright profile")
    judged: dict[str, Predictor] = {name: LinearPredictor(space, quantity, name) for name in space.feature_sets}
    if predictor != DEFAULT:
        judged[predictor] = PREDICTORS.get(predictor)(space, quantity)
    test = table(tested, quantity, space)
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
