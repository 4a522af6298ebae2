from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from edgewright.architecture import EncodedArchitecture
from edgewright.device_agent.timing import TimingProtocol
from edgewright.errors import InputError, MeasurementError
from edgewright.profiling.records import Failure, Measurement, Record

REPLY = {"samples_ms": [3.0, 1.0, 2.0, 9.0], "memory_mib": 1.5, "memory_method": "mallinfo2", "n_warmup": 5,
         "settled": True, "load_ms": 0.4, "size_bytes": 900, "child_ms": 20.0, "emit_ms": 0.7,
         "health_before": {"load": 1}, "health_after": {"load": 2}}  # fmt: skip


def record(**changes: Any) -> Record:
    base = Record(
        position=0,
        kind="subnet",
        architecture=EncodedArchitecture("gates", "d", b"\xff", (3, 5)),
        device="board",
        protocol=TimingProtocol(),
        facts_digest="f",
        started_at="2024-01-01T00:00:00",
        measurement=Measurement(samples_ms=(1.0,)),
    )
    return replace(base, **changes)


def test_an_answer_keeps_raw_samples_and_reports_their_median() -> None:
    measurement = Measurement.from_reply(REPLY)
    assert measurement.samples_ms == (3.0, 1.0, 2.0, 9.0)
    assert measurement.latency_ms == 2.5
    assert (measurement.memory_mib, measurement.settled, measurement.emit_ms) == (1.5, True, 0.7)
    assert measurement.health == {"before": {"load": 1}, "after": {"load": 2}}


def test_a_failure_is_a_value_without_numbers() -> None:
    failed = Measurement.from_reply({"error": {"kind": "timeout", "message": "60 s"}, "size_bytes": 900})
    assert failed.error == Failure("timeout", "60 s")
    assert failed.latency_ms is None and failed.memory_mib is None
    assert failed.size_bytes == 900


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"samples_ms": None},
        {"samples_ms": []},
        {"samples_ms": [1.0, 0.0]},
        {"samples_ms": [float("nan")]},
        {"samples_ms": [1.0], "memory_mib": 0},
        {"error": "crash"},
    ],
)
def test_an_answer_that_is_no_measurement_is_refused(reply: dict[str, Any]) -> None:
    with pytest.raises(MeasurementError, match="not a measurement .* deploy the agent"):
        Measurement.from_reply(reply)


def test_exactly_one_of_samples_and_error() -> None:
    with pytest.raises(InputError, match="either samples or an error"):
        Measurement()
    with pytest.raises(InputError, match="either samples or an error"):
        Measurement(samples_ms=(1.0,), error=Failure("crash", ""))


@pytest.mark.parametrize(
    "changes", [{"kind": "other"}, {"position": -1}, {"attempts": 0}]
)
def test_a_record_checks_itself(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        record(**changes)
