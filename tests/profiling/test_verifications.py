"""What verifying a model leaves behind checks itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from edgewright.architecture import EncodedArchitecture
from edgewright.device_agent.timing import TimingProtocol
from edgewright.errors import InputError
from edgewright.profiling.verifications import VerificationRecord

VERIFIED = VerificationRecord(
    device="board",
    source="t" * 64,
    facts_digest="f",
    started_at="2024-01-01T00:00:00.000+00:00",
    architecture=EncodedArchitecture("gates", "abc", b"\x00\xff\x10", (1, 24, 3)),
    samples_ms=((1.0, 2.0, 3.0), (4.0,), (1.5,)),
    protocol=TimingProtocol(),
    budget={"latency_ms": 2.5},
    task="has, 3",
    fits=True,
)


def test_its_latency_is_the_median_of_the_processes_medians() -> None:
    assert VERIFIED.latency_ms == 2.0 and VERIFIED.features == (1, 24, 3)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"samples_ms": ()}, "at least one process"),
        ({"samples_ms": ((1.0,), ())}, "without samples"),
        ({"samples_ms": ((1.0, float("nan")),)}, "samples_ms must be finite and > 0, got nan among 2"),
        ({"upper_latency_ms": 0.0}, "upper_latency_ms > 0"),
    ],
)
def test_one_that_is_none_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        replace(VERIFIED, **changes)
