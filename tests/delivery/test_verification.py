"""What a device shows of one model: cost, spread, agreement with torch. On this machine's real agent."""

import numpy as np
import pytest
import torch
from edgewright.converters.torch_to_tflite import convert
from edgewright.costs import Cost
from edgewright.delivery import verification
from edgewright.delivery.reference import Reference
from edgewright.delivery.verification import (
    N_MEASUREMENTS,
    PROTOCOL,
    Scores,
    Verification,
    cost_of,
    measure_model,
    median_latency_ms,
    verify,
)
from edgewright.devices.session.jobs import MeasureJob
from edgewright.errors import MeasurementError
from edgewright.profiling.records import Measurement
from edgewright.tasks.domain import MAP50

from tests.delivery.modules import Lying, Wide, seeded


@pytest.fixture(scope="module")
def wide():
    return seeded(Wide)


@pytest.fixture(scope="module")
def content(wide):
    return convert(wide, torch.zeros(1, 64))


@pytest.fixture(scope="module")
def reference(wide):
    return Reference.of_images(wide, np.random.default_rng(0).standard_normal((9, 64)).astype(np.float32))


@pytest.fixture(scope="module")
def reply(local_session, content):
    """A real one of the agent."""
    return local_session.measure(MeasureJob(model_sha=local_session.put_blob(content)), PROTOCOL)


def test_costs_are_medians_over_processes_and_unknown_memory_stays_unknown(reply):
    def measured(latency_ms, memory_mib):
        method = None if memory_mib is None else "mallinfo2"
        changes = {"samples_ms": [latency_ms] * 5, "memory_mib": memory_mib, "memory_method": method}
        return Measurement.from_reply({**reply, **changes})

    three = [measured(3.0, 8.0), measured(1.0, 9.0), measured(2.0, None)]
    assert median_latency_ms(three) == 2.0
    assert cost_of(three, 2**19) == Cost(2.0, 8.5, 0.5)
    assert cost_of([measured(1.0, None)], 2**20) == Cost(1.0, None, 1.0)


def test_a_model_is_measured_in_processes_of_its_own(local_session, content):
    sha, measurements = measure_model(local_session, content)
    assert len(measurements) == N_MEASUREMENTS and sha == local_session.put_blob(content)
    assert all(each.latency_ms > 0 and len(each.samples_ms) >= PROTOCOL.n_runs for each in measurements)
    with pytest.raises(MeasurementError, match="the model could not be measured on the device: "):
        measure_model(local_session, b"no model" * 100)


def test_measurements_are_handed_over_before_anything_is_compared(local_session, content, reference):
    kept = []
    liar = Lying(local_session, change=lambda position, values: values + 1)
    with pytest.raises(MeasurementError, match="its runtime computes this model wrongly: try another runtime version"):
        verify(liar, content, reference, on_measured=kept.extend)
    assert len(kept) == N_MEASUREMENTS


def test_rounding_is_accepted_and_reported(local_session, content, reference):
    off = Lying(local_session, change=lambda position, values: values + np.float32(5e-4))
    shown = verify(off, content, reference)
    assert 4e-4 < shown.parity_max_abs < 6e-4
    assert shown.scores is None and shown.n_compared == 9
    low, high = shown.latency_spread_ms
    assert low <= shown.cost.latency_ms <= high
    assert set(shown.to_json()) == {
        "cost", "latency_spread_ms", "parity_max_abs", "n_compared", "model_sha256",
    }  # fmt: skip


@pytest.mark.parametrize(("limit", "value"), [("_REPLY_BYTES", 64 * 4 * 2), ("_REQUEST_MS", None)])
def test_large_outputs_and_slow_devices_are_asked_for_less_at_once(
    local_session, content, reference, monkeypatch, limit, value
):
    slow = Lying(local_session, slower=1000.0)
    whole = verify(slow, content, reference)
    assert [len(inputs[0]) for inputs in slow.ran] == [9]
    if value is None:
        value = 2.5 * whole.cost.latency_ms  # two and a half runs of a device that is as slow the next time
        monkeypatch.setattr(verification, "median_latency_ms", lambda measurements: whole.cost.latency_ms)
    monkeypatch.setattr(verification, limit, value)
    assert verify(slow, content, reference).parity_max_abs == whole.parity_max_abs
    assert [len(inputs[0]) for inputs in slow.ran[1:]] == [2, 2, 2, 2, 1]


def test_scores_stand_under_the_domains_own_name():
    scores = Scores(MAP50, on_device=0.5, in_torch=0.51, agreement=0.9, n_images=20)
    told = Verification(Cost(1.0), (1.0, 1.0), 0.0, 20, "a" * 64, scores).to_json()
    assert (told["map50"], told["torch_map50"], told["agreement"], told["n_images"]) == (0.5, 0.51, 0.9, 20)
