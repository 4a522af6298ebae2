"""What a report page shows, ready to be drawn: numbers and plain text, no records and no models.

Text, including that of a device, is unchanged; whoever writes it into a page must escape it.

Shapes: `n` measurements, `K` tasks, `L` sites, `p` points of a front.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..predictors.drift.correction import Disturbance
from ..predictors.drift.levels import Stretch
from ..spaces.features import FloatArray

Rows = tuple[tuple[str, str], ...]
"""What, and its value."""


@dataclass(frozen=True)
class Predictions:
    """Subnets that a predictor had not seen: measured, predicted and the interval's ends, each `(n,)` in `unit`.

    `counts` are the open modules per site as text, `ratios` `(n,)` the share of all. `noise_floor` is in percent.
    """

    quantity: Literal["latency", "memory"]
    unit: str
    measured: FloatArray
    predicted: FloatArray
    low: FloatArray
    high: FloatArray
    ratios: FloatArray
    counts: tuple[str, ...]
    noise_floor: float | None
    confidence: float = 0.9

    def __post_init__(self) -> None:
        _check_lengths(self, len(self.measured))

    @property
    def inside(self) -> NDArray[np.bool_]:
        """`(n,)`: whether the measurement is within its interval."""
        return (self.low <= self.measured) & (self.measured <= self.high)

    @property
    def errors(self) -> FloatArray:
        """`(n,)`, percent of the measured value, without sign."""
        return 100 * np.abs(self.predicted - self.measured) / self.measured


@dataclass(frozen=True)
class Drift:
    """How far each measurement lay above its prediction, `(n,)` in percent and in order of time, as measured and after
    correction; `stretches` count in that order.

    A sentinel's is against the median of all corrected sentinels.
    """

    before: FloatArray
    after: FloatArray
    is_sentinel: NDArray[np.bool_]
    stretches: tuple[Stretch, ...] = ()

    def __post_init__(self) -> None:
        _check_lengths(self, len(self.before))


@dataclass(frozen=True)
class Learning:
    """Held-out error in percent after so many profiled subnets, `(n,)` each, and when to stop as a sentence."""

    n_train: NDArray[np.int64]
    mape: FloatArray
    noise_floor: float | None
    sentence: str

    def __post_init__(self) -> None:
        _check_lengths(self, len(self.n_train))


@dataclass(frozen=True)
class Front:
    """The assembler's answers to one task that no other beats in cost and score at once, `(p,)` each.

    `score` is how much of what the assembler wanted is open. `memory_mib` is None where the device does not report it.
    """

    task: str
    limit: FloatArray
    latency_ms: FloatArray
    memory_mib: FloatArray | None
    size_mib: FloatArray
    score: FloatArray

    def __post_init__(self) -> None:
        _check_lengths(self, len(self.limit))


@dataclass(frozen=True)
class GateShares:
    """Share of open modules `(K, L)` at one limit; `n_tasks` counts all tasks of the supernet."""

    limit: float
    tasks: tuple[str, ...]
    sites: tuple[str, ...]
    shares: FloatArray
    n_tasks: int

    def __post_init__(self) -> None:
        if self.shares.shape != (len(self.tasks), len(self.sites)):
            raise InputError(
                f"shares must have shape ({len(self.tasks)}, {len(self.sites)}), tasks x sites, got {self.shares.shape}"
            )


@dataclass(frozen=True)
class Verified:
    """One bounded cost of a model that was verified on the device. None: not known, or no bound."""

    when: str
    task: str
    quantity: str
    unit: str
    predicted: float | None
    upper: float | None
    measured: float | None
    budget: float | None

    @property
    def fits(self) -> bool | None:
        """None where nothing was asked or nothing is known."""
        return None if self.budget is None or self.measured is None else self.measured <= self.budget


@dataclass(frozen=True)
class CampaignVerdict:
    """What disturbed a campaign, and one sentence for each; nothing means it was clean. None: nothing tells."""

    disturbances: tuple[Disturbance, ...] | None
    sentences: tuple[str, ...]

    @property
    def word(self) -> str:
        if self.disturbances is None:
            return "unknown"
        return ", ".join(self.disturbances) or "clean"


@dataclass(frozen=True)
class PageData:
    """All of one device's page. A part that cannot be shown is empty or None, and `gaps` says why under its name."""

    device: str
    made_at: str
    facts: Rows
    protocol: Rows
    campaign: Rows
    verdict: CampaignVerdict
    predictions: tuple[Predictions, ...] = ()
    drift: Drift | None = None
    learning: Learning | None = None
    fronts: tuple[Front, ...] = ()
    gate_shares: GateShares | None = None
    verified: tuple[Verified, ...] = ()
    gaps: Mapping[str, str] = field(default_factory=dict)


def _check_lengths(data: Predictions | Drift | Learning | Front, n: int) -> None:
    """Every array is `(n,)` and finite."""
    for known in fields(data):
        values = getattr(data, known.name)
        if not isinstance(values, np.ndarray):
            continue
        if values.shape != (n,):
            raise InputError(f"{known.name} must have shape ({n},), got {values.shape}")
        wrong = next((value for value in values.tolist() if not math.isfinite(value)), None)
        if wrong is not None:
            raise InputError(f"{known.name} must be finite, got {wrong}")
