"""What a model may cost."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from .errors import InputError
from .gates import Gates

CONFIDENCE = 0.95
"""How sure a candidate must be to fit, where nobody says otherwise."""


@dataclass(frozen=True)
class Cost:
    """What a model costs, predicted or measured; None where it is not known."""

    latency_ms: float | None = None
    memory_mib: float | None = None
    size_mib: float | None = None

    def to_json(self) -> dict[str, float | None]:
        return asdict(self)


@dataclass(frozen=True)
class Estimate:
    """What a model is predicted to cost, and what a measurement of it stays below with this confidence."""

    predicted: Cost
    upper: Cost
    confidence: float = CONFIDENCE


CostModel = Callable[[Sequence[Gates]], list[Estimate]]
"""Estimates of many subnets in one call."""


def check_confidence(confidence: float) -> None:
    """Raises `InputError` outside [0.5, 1): below, a model would be expected to miss its budget."""
    if not 0.5 <= confidence < 1:
        raise InputError(f"--confidence must lie within 0.5 and 1, such as 0.95; got {confidence:g}")


@dataclass(frozen=True)
class Budget:
    """Upper bounds, at least one; the memory is `memory_mib` as a measurement defines it, the size the model file's."""

    latency_ms: float | None = None
    memory_mib: float | None = None
    size_mib: float | None = None

    def __post_init__(self) -> None:
        given = self.given
        if not given:
            raise InputError("a budget needs at least one of --latency-ms, --memory-mib, --size-mib")
        for name, value in given.items():
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"budget {name} must be a finite number above 0, got {value}")

    @classmethod
    def parse(cls, latency_ms: str | None, memory_mib: str | None, size_mib: str | None) -> Budget:
        """A budget from what a user typed. Raises `InputError`, with the conversion where another unit was meant."""
        texts = {"latency_ms": latency_ms, "memory_mib": memory_mib, "size_mib": size_mib}
        return cls(**{name: None if text is None else _parse_bound(name, text) for name, text in texts.items()})

    @property
    def given(self) -> dict[str, float]:
        """The bounds that are set, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def misses(self, cost: Cost) -> dict[str, float]:
        """By how much (as a factor above 1) `cost` exceeds each bound; empty when it fits. Unknown costs never fit."""
        return {name: share for name, share in self.shares(cost).items() if share > 1}

    def shares(self, cost: Cost) -> dict[str, float]:
        """How much of each bound `cost` uses; of an unknown cost infinitely much."""
        costs = {name: getattr(cost, name) for name in self.given}
        return {name: math.inf if costs[name] is None else costs[name] / bound for name, bound in self.given.items()}

    def fits(self, cost: Cost) -> bool:
        return not self.misses(cost)

    def __str__(self) -> str:
        units = {"latency_ms": "ms", "memory_mib": "MiB", "size_mib": "MiB file"}
        return " and ".join(f"{value:g} {units[name]}" for name, value in self.given.items())

    def to_json(self) -> dict[str, float | None]:
        return asdict(self)


_UNITS = {
    "latency_ms": {"s": 1e3, "sec": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6},
    "memory_mib": {
        "b": 2**-20,
        "kib": 2**-10,
        "mib": 1.0,
        "gib": 2.0**10,
        "kb": 1e3 / 2**20,
        "mb": 1e6 / 2**20,
        "gb": 1e9 / 2**20,
    },
}
_UNITS["size_mib"] = _UNITS["memory_mib"]
_UNIT_NAMES = {"latency_ms": "milliseconds", "memory_mib": "MiB", "size_mib": "MiB"}


def _parse_bound(name: str, text: str) -> float:
    option = f"--{name.replace('_', '-')}"
    try:
        return float(text)
    except ValueError:
        number, unit = re.fullmatch(r"\s*([-+.\d]*)\s*(.*?)\s*", text, re.DOTALL).groups()  # type: ignore[union-attr]
    factor = _UNITS[name].get(unit.lower())
    sentence = f"{option} takes a plain number of {_UNIT_NAMES[name]}, got {text!r}"
    try:
        meant = None if factor is None else float(number) * factor
    except ValueError:
        meant = None
    raise InputError(f"{sentence}; did you mean {option} {meant:g}?" if meant is not None else sentence)
