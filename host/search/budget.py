"""What a model may cost."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from ..errors import InputError


@dataclass(frozen=True)
class Cost:
    """What a model costs, predicted or measured; None where it is not known."""

    latency_ms: float | None = None
    memory_mib: float | None = None
    size_mib: float | None = None

    def to_json(self) -> dict[str, float | None]:
        return asdict(self)


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

    @property
    def given(self) -> dict[str, float]:
        """The bounds that are set, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def misses(self, cost: Cost) -> dict[str, float]:
        """By how much (as a factor above 1) `cost` exceeds each bound; empty when it fits. Unknown costs never fit."""
        factors = {}
        for name, bound in self.given.items():
            value = getattr(cost, name)
            factor = math.inf if value is None else value / bound
            if factor > 1:
                factors[name] = factor
        return factors

    def fits(self, cost: Cost) -> bool:
        return not self.misses(cost)

    def __str__(self) -> str:
        units = {"latency_ms": "ms", "memory_mib": "MiB", "size_mib": "MiB file"}
        return " and ".join(f"{value:g} {units[name]}" for name, value in self.given.items())

    def to_json(self) -> dict[str, float | None]:
        return asdict(self)
