"""What one measurement leaves behind: raw samples and how they were taken, or the reason why there are none."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import median
from typing import Any, Literal, get_args

from edgewright.device_agent.timing import TimingProtocol

from ..architecture import EncodedArchitecture
from ..errors import InputError, MeasurementError
from .samples import LazySamples, check_samples

SCHEMA = 3

Kind = Literal["subnet", "sentinel", "repeat"]
"""subnet: an architecture's first measurement; repeat: its second; sentinel: the fixed one that shows drift."""


@dataclass(frozen=True)
class Failure:
    """Why an architecture has no samples. `kind` is the agent's word, for instance timeout, memory or crash."""

    kind: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


@dataclass(frozen=True)
class Measurement:
    """One answer of the agent. Exactly one of `samples_ms` and `error` is set; None always means "not known", never 0.

    `settled`: warm-up ended because runs had become steady. `marks` are the agent's words for disturbances; `steady`
    says that there were none, None that nobody looked. `child_ms` is the time from loading the model to its last run,
    `emit_ms` the time to cut it out of its template or to build it, `health` the device's state "before" and "after".
    Of a single model file `signature` and `shapes`, by input, say what was run, and `per_op` what operators cost where
    that was asked for and is known: {"op", "type" where it is known, "latency_ms", "share"}. Campaigns leave them out.
    """

    samples_ms: Sequence[float] | None = None
    memory_mib: float | None = None
    memory_method: str | None = None
    n_warmup: int | None = None
    settled: bool | None = None
    load_ms: float | None = None
    size_bytes: int | None = None
    child_ms: float | None = None
    emit_ms: float | None = None
    signature: str | None = None
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    per_op: Sequence[Mapping[str, Any]] | None = None
    steady: bool | None = None
    marks: tuple[str, ...] = ()
    health: Mapping[str, Any] = field(default_factory=dict)
    error: Failure | None = None

    def __post_init__(self) -> None:
        if (self.samples_ms is None) == (self.error is None):
            raise InputError(
                "a measurement has either samples or an error, "
                f"got samples_ms={self.samples_ms!r} and error={self.error!r}"
            )
        if isinstance(self.samples_ms, tuple):  # lazy ones are checked as they are read
            check_samples(self.samples_ms)
        for name in ("memory_mib", "size_bytes"):
            check_positive(name, getattr(self, name))

    @property
    def unsteadiness(self) -> tuple[int, float]:
        """Orders measurements, the steadiest first: how many marks, then the relative spread of the samples."""
        centre = self.latency_ms
        if self.samples_ms is None or centre is None:
            return (sys.maxsize, math.inf)
        return (len(self.marks), median(abs(sample - centre) for sample in self.samples_ms) / centre)

    @cached_property
    def latency_ms(self) -> float | None:
        """The median of the samples."""
        return None if self.samples_ms is None else median(self.samples_ms)

    def with_median(self, latency_ms: float | None) -> Measurement:
        """Itself, with `latency_ms` known, so that lazy samples need not be read for it."""
        vars(self)["latency_ms"] = latency_ms  # where `cached_property` keeps it
        return self

    @classmethod
    def from_reply(cls, reply: Mapping[str, Any]) -> Measurement:
        """Read the agent's answer to a measurement. Raises `MeasurementError` when it is not one."""
        try:
            shared: dict[str, Any] = {name: reply.get(name) for name in ("size_bytes", "child_ms", "emit_ms")}
            shared["health"] = {"before": reply.get("health_before"), "after": reply.get("health_after")}
            error = reply.get("error")
            if error is not None:
                return cls(error=Failure(str(error["kind"]), str(error["message"])), **shared)
            for name in ("memory_mib", "memory_method", "n_warmup", "settled", "load_ms", "steady"):
                shared[name] = reply.get(name)
            shared["marks"] = tuple(str(mark) for mark in reply.get("marks", []))
            return cls(samples_ms=tuple(float(sample) for sample in reply["samples_ms"]), **shared)
        except (KeyError, TypeError, ValueError) as problem:
            raise MeasurementError(
                f"the agent's answer is not a measurement ({type(problem).__name__}: {problem}; it has "
                f"{sorted(reply)}); deploy the agent of this version to the device again"
            ) from problem


@dataclass(frozen=True)
class Record:
    """One position of a campaign, measured.

    `overhead_ms` is what host and agent added to the child's own time. `attempts` counts the tries, the successful one
    included.
    """

    position: int
    kind: Kind
    architecture: EncodedArchitecture
    device: str
    protocol: TimingProtocol
    facts_digest: str
    started_at: str
    measurement: Measurement
    overhead_ms: float | None = None
    attempts: int = 1
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise InputError(f"a record's kind must be one of {', '.join(get_args(Kind))}, got {self.kind!r}")
        if self.position < 0 or self.attempts < 1:
            raise InputError(
                f"`position >= 0` and `attempts >= 1` must hold, but got {self.position} and {self.attempts}"
            )

    @property
    def features(self) -> tuple[float, ...]:
        return self.architecture.features

    @property
    def latency_ms(self) -> float | None:
        return self.measurement.latency_ms

    @property
    def memory_mib(self) -> float | None:
        return self.measurement.memory_mib

    @property
    def error(self) -> Failure | None:
        return self.measurement.error

    def scaled(self, factor: float) -> Record:
        """As measured by a device that takes `factor` times as long. A failure stays as it is."""
        samples, latency_ms = self.measurement.samples_ms, self.latency_ms
        if samples is None or latency_ms is None or factor == 1.0:
            return self
        scaled = replace(self.measurement, samples_ms=LazySamples(lambda: tuple(each * factor for each in samples)))
        return replace(self, measurement=scaled.with_median(latency_ms * factor))


def check_positive(name: str, value: float | None) -> None:
    """Raises `InputError` unless `value` is None, or finite and above 0."""
    if value is not None and not (math.isfinite(value) and value > 0):
        raise InputError(f"`{name} > 0` must hold, but got {name}={value!r}; what is not known is None")
