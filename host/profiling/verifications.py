"""The record of verifying a customised model on its device, even if it missed the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from edgewright.device_agent.timing import TimingProtocol

from ..architecture import EncodedArchitecture
from ..errors import InputError
from .records import check_positive
from .samples import check_samples


@dataclass(frozen=True)
class VerificationRecord:
    """One model measured on `device`, in a few processes, before it was delivered or given up.

    `source` tells what the model was made from, as a campaign's does. `samples_ms` holds the samples of each process.
    What was `predicted_` beforehand, and the `upper_` end it was expected to stay below, are None where nothing was.
    `budget` has the bounds that were set, by name, and `fits` tells whether the model kept them. `id` is None until it
    is stored.
    """

    device: str
    source: str
    facts_digest: str
    started_at: str
    architecture: EncodedArchitecture
    samples_ms: tuple[Sequence[float], ...]
    protocol: TimingProtocol
    budget: Mapping[str, float]
    task: str
    fits: bool
    memory_mib: float | None = None
    memory_method: str | None = None
    predicted_latency_ms: float | None = None
    upper_latency_ms: float | None = None
    predicted_memory_mib: float | None = None
    upper_memory_mib: float | None = None
    id: int | None = None

    def __post_init__(self) -> None:
        if not self.samples_ms:
            raise InputError("a verification needs the samples of at least one process, got none")
        for samples in self.samples_ms:
            check_samples(samples)
        for name in ("memory_mib", "predicted_latency_ms", "upper_latency_ms", "predicted_memory_mib",
                     "upper_memory_mib"):  # fmt: skip
            check_positive(name, getattr(self, name))

    @property
    def features(self) -> tuple[float, ...]:
        return self.architecture.features

    @property
    def latency_ms(self) -> float:
        """Median over the processes, of each process's median."""
        return median(median(samples) for samples in self.samples_ms)
