"""How far a device's predictors can be trusted: errors on subnets they have not seen, beside the noise floor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np
from scipy.stats import spearmanr

from ...errors import InputError
from ...gates import GateSpace, Layer
from ...profiling.records import Record
from ..drift.correction import drift_of, teaching
from ..features import FeatureSet, FloatArray
from ..fitting import Quantity, table, usable, value
from ..linear import MIN_RECORDS, CostPredictor, LatencyPredictor, MemoryPredictor

MIN_TEST = 5

_PREDICTORS: dict[Quantity, type[CostPredictor]] = {"latency": LatencyPredictor, "memory": MemoryPredictor}


@dataclass(frozen=True)
class Score:
    """One predictor on held-out subnets. Percentages but for `spearman`, which is None where a side is constant."""

    quantity: Quantity
    features: FeatureSet
    accuracy: float
    mape: float
    within_5: float
    within_10: float
    spearman: float | None
    n_train: int
    n_test: int


@dataclass(frozen=True)
class NoiseFloor:
    """MAPE in percent between the first and the second measurement of the same subnets; None when there are none."""

    latency: float | None
    memory: float | None
    n_repeated: int


@dataclass(frozen=True)
class PredictorReport:
    """Every feature set and quantity on the same held-out subnets. Without memory measurements: latency only.

    Latencies are those of the undisturbed device; `disturbances` has a sentence on each disturbance.
    """

    scores: tuple[Score, ...]
    noise_floor: NoiseFloor
    n_subnets: int
    n_failed: int
    disturbances: tuple[str, ...] = ()

    def score(self, quantity: Quantity, features: FeatureSet) -> Score | None:
        return next((s for s in self.scores if s.quantity == quantity and s.features == features), None)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def evaluate(
    records: Iterable[Record], space: GateSpace, layers: Sequence[Layer], test_share: float = 0.25, seed: int = 0
) -> PredictorReport:
    """Fit on some subnets and predict the others, for both feature sets; deterministic from `seed`.

    A subnet measured twice is wholly on one side; its second measurement trains too, but only first ones are tested.

    Raises:
        InputError: too few subnets for a split, `test_share` outside (0, 1), or records of another gate space.
    """
    if not 0 < test_share < 1:
        raise InputError(f"`0 < test_share < 1` must hold, but got test_share={test_share}")
    records = list(records)
    table(usable(records), "latency", space)  # checks that they are of this supernet
    drift = drift_of(records, space, layers)
    n_failed = sum(record.error is not None for record in records)
    records = teaching(records, drift)
    rows = usable(records)
    held_out = _hold_out(rows, test_share, np.random.default_rng(seed))
    scores: list[Score] = []
    for quantity in get_args(Quantity):
        known = [record for record in rows if value(record, quantity) is not None]
        if known:
            scores += _scores(quantity, known, held_out, space, layers)
    return PredictorReport(
        scores=tuple(scores),
        noise_floor=noise_floor(records),
        n_subnets=len({record.counts for record in rows}),
        n_failed=n_failed,
        disturbances=tuple(sentence for each in drift.values() for sentence in each.sentences),
    )


def noise_floor(records: Iterable[Record]) -> NoiseFloor:
    """How much the same subnet differs from itself. Each repeat is compared with the measurement before it."""
    first: dict[str, Record] = {}
    pairs: list[tuple[Record, Record]] = []
    for record in usable(records):
        if record.kind == "subnet":
            first[record.gates_digest] = record
        elif record.gates_digest in first:
            pairs.append((first[record.gates_digest], record))
    return NoiseFloor(_difference(pairs, "latency"), _difference(pairs, "memory"), len(pairs))


def _difference(pairs: Sequence[tuple[Record, Record]], quantity: Quantity) -> float | None:
    values = [(value(first, quantity), value(second, quantity)) for first, second in pairs]
    errors = [abs(second - first) / first for first, second in values if first is not None and second is not None]
    return 100 * float(np.mean(errors)) if errors else None


def _hold_out(rows: Sequence[Record], test_share: float, rng: np.random.Generator) -> set[tuple[int, ...]]:
    """Counts of the subnets that are kept from training."""
    subnets = sorted({record.counts for record in rows})
    n_test = round(test_share * len(subnets))
    if n_test < MIN_TEST or len(subnets) - n_test < MIN_RECORDS:
        raise InputError(
            f"{len(subnets)} measured subnets are too few to judge a predictor: at least {MIN_RECORDS} to fit and "
            f"{MIN_TEST} to test are needed; measure more with: edgewright profile"
        )
    return {subnets[index] for index in rng.choice(len(subnets), n_test, replace=False)}


def _scores(
    quantity: Quantity,
    known: Sequence[Record],
    held_out: set[tuple[int, ...]],
    space: GateSpace,
    layers: Sequence[Layer],
) -> list[Score]:
    train = table([record for record in known if record.counts not in held_out], quantity, space)
    test = table([record for record in known if record.counts in held_out and record.kind == "subnet"], quantity, space)
    if not len(test[1]):
        raise InputError(f"no held-out subnet has a measured {quantity}; measure more with: edgewright profile")
    scores = []
    for features in get_args(FeatureSet):
        predictor = _PREDICTORS[quantity](space, layers, features).fit(*train)
        scores.append(_score(quantity, features, test[1], predictor.predict(test[0]), len(train[1])))
    return scores


def _score(quantity: Quantity, features: FeatureSet, true: FloatArray, predicted: FloatArray, n_train: int) -> Score:
    error = 100 * np.abs(predicted - true) / true  # (n,)
    varies = np.ptp(true) > 0 and np.ptp(predicted) > 0
    return Score(
        quantity=quantity,
        features=features,
        accuracy=100 - float(error.mean()),
        mape=float(error.mean()),
        within_5=100 * float((error <= 5).mean()),
        within_10=100 * float((error <= 10).mean()),
        spearman=float(spearmanr(true, predicted).statistic) if varies else None,
        n_train=n_train,
        n_test=len(true),
    )
