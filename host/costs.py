"""What a model may cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .architecture import Architecture
from .errors import InputError

CONFIDENCE = 0.95
"""The default certainty with which a candidate must fit."""


@dataclass(frozen=True)
class Cost:
    """What a model costs, predicted or measured; None where it is not known."""

    latency_ms: float | None = None
    memory_mib: float | None = None
    size_mib: float | None = None

    def to_json(self) -> dict[str, float | None]:
        return asdict(self)


@dataclass(frozen=True)
class ModelCost(Cost):
    """The measured cost of a model file, with the `signature` that was run and the `shapes` of its inputs.

    `per_op` lists the costs of operators, the costliest first, if requested and if the runtime can tell:
    {"op", "type" if known, "latency_ms", "share"}.
    """

    signature: str | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    per_op: tuple[Mapping[str, Any], ...] | None = None


@dataclass(frozen=True)
class Estimate:
    """The predicted cost of a model, and the upper bound that a measurement stays below with this confidence."""

    predicted: Cost
    upper: Cost
    confidence: float = CONFIDENCE


CostModel = Callable[[Sequence[Architecture]], list[Estimate]]
"""Estimates of many architectures in one call."""


def check_confidence(confidence: float) -> None:
    """Raises `InputError` outside [0.5, 1): below, a model would be expected to miss its budget."""
    if not 0.5 <= confidence < 1:
        raise InputError(f"`confidence` must lie within 0.5 and 1, such as 0.95; got {confidence:g}")


@dataclass(frozen=True)
class Budget:
    """Upper bounds, at least one; the memory is `memory_mib` as a measurement defines it, the size the model file's."""

    latency_ms: float | None = None
    memory_mib: float | None = None
    size_mib: float | None = None

    def __post_init__(self) -> None:
        given = self.given
        if not given:
            raise InputError("a budget needs at least one of `latency_ms`, `memory_mib`, `size_mib`")
        for name, value in given.items():
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"budget {name} must be a finite number above 0, got {value}")

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
