"""The store's record of a chosen model that was measured on its device, whether or not it was delivered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from ..architecture import EncodedArchitecture
from ..delivery.verification import PROTOCOL, cost_of
from ..profiling.records import Measurement
from ..profiling.verifications import VerificationRecord
from .algorithm1 import Candidate
from .scenario import Scenario


def verification_record(
    scenario: Scenario, candidate: Candidate, measurements: Sequence[Measurement], source: str, facts_digest: str
) -> VerificationRecord:
    """Of a model's measurements on the scenario's device."""
    cost, estimate = cost_of(measurements, measurements[0].size_bytes or 0), candidate.estimate
    return VerificationRecord(
        device=scenario.device,
        source=source,
        facts_digest=facts_digest,
        started_at=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        architecture=EncodedArchitecture.of(candidate.gates),
        samples_ms=tuple(m.samples_ms for m in measurements if m.samples_ms is not None),
        protocol=PROTOCOL,
        budget=scenario.budget.given,
        task=str(scenario.task),
        fits=scenario.budget.fits(cost),
        memory_mib=cost.memory_mib,
        memory_method=measurements[0].memory_method,
        predicted_latency_ms=estimate.predicted.latency_ms,
        upper_latency_ms=estimate.upper.latency_ms,
        predicted_memory_mib=estimate.predicted.memory_mib,
        upper_memory_mib=estimate.upper.memory_mib,
    )
