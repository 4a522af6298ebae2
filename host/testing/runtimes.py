"""What every runtime on a device promises, as tests, asked through the agent that uses it:

    from edgewright.testing.runtimes import RuntimeContract, RuntimeCase

    class TestMine(RuntimeContract):
        @pytest.fixture
        def case(self, session, files):
            return RuntimeCase(session, files / "model.bin", inputs, expected)

A case is a model of one input and one output in the runtime's own format, and what it must compute.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgewright.device_agent.timing import TimingProtocol
from numpy.typing import NDArray

from ..devices import AgentSession, MeasureJob
from ..errors import MeasurementError

QUICK = TimingProtocol(n_warmup_min=1, warmup_max_ms=20, n_runs=5, min_time_ms=1)
RECORD = {
    "samples_ms", "median_ms", "mad_ms", "p90_ms", "n_warmup", "settled", "timing_method", "device", "load_ms",
    "memory_mib", "memory_method", "child_ms", "size_bytes", "health_before", "health_after", "fork_ms", "emit_ms",
    "agent_ms", "ci_low_ms", "ci_high_ms", "marks", "steady", "signature", "signatures", "shapes", "any_size",
}  # fmt: skip


@dataclass(frozen=True)
class RuntimeCase:
    """A session with an agent that uses the runtime, a model file, inputs `(n, ...)` of which no two are alike, torch's
    outputs for them `(n, ...)`, and the kinds of error that a damaged file may end in."""

    session: AgentSession
    model: Path
    inputs: NDArray[np.float32]
    expected: NDArray[np.float32]
    refusals: tuple[str, ...] = ("load_failed",)

    @property
    def content(self) -> bytes:
        return self.model.read_bytes()

    def push(self, content: bytes | None = None, **call: Any) -> MeasureJob:
        return MeasureJob(model_sha=self.session.put_blob(self.content if content is None else content), **call)


class RuntimeContract:
    """Tests of one runtime."""

    @pytest.fixture
    def case(self) -> RuntimeCase:
        pytest.fail("override the fixture `case` with a model of your runtime")

    def test_its_outputs_are_those_of_torch(self, case: RuntimeCase) -> None:
        """Within 1e-5 of one reference, for inputs that differ; so two runtimes are within 2e-5 of each other."""
        outputs = case.session.run(case.push(), case.inputs)
        assert outputs.shape == case.expected.shape and outputs.dtype == np.float32
        assert np.abs(outputs - case.expected).max() < 1e-5
        assert np.abs(outputs[0] - outputs[1]).max() > 1e-3, "each input has an output of its own"

    @pytest.mark.parametrize("threads", [1, 2])
    def test_a_record_is_complete(self, case: RuntimeCase, threads: int) -> None:
        protocol = TimingProtocol(threads=threads, min_time_ms=5, max_time_ms=20_000, n_runs=5)
        record = case.session.measure(case.push(), protocol)
        assert "error" not in record
        assert set(record) == RECORD
        assert len(record["samples_ms"]) >= 5 and 0 < record["median_ms"] <= max(record["samples_ms"])
        assert record["size_bytes"] == len(case.content)
        assert record["memory_mib"] > 0.01 and record["memory_method"]

    def test_it_says_what_it_ran(self, case: RuntimeCase) -> None:
        record = case.session.measure(case.push(), QUICK)
        (shape,) = record["shapes"].values()
        assert shape == [1, *case.inputs.shape[1:]]
        assert record["signature"] in (*record["signatures"], None)

    def test_a_signature_or_an_input_that_is_not_there_is_refused_with_what_is(self, case: RuntimeCase) -> None:
        (name,) = case.session.measure(case.push(), QUICK)["shapes"]
        for call, sentence in (
            ({"signature": "no such"}, "no signature 'no such'"),
            ({"shapes": {"no such": (1,)}}, f"no input 'no such'; its inputs are {name}"),
            ({"shapes": {name: (1, 1)}}, f"input '{name}' has {case.inputs.ndim} dimensions, got 2"),
        ):
            error = case.session.measure(case.push(**call), QUICK)["error"]
            assert error["kind"] == "bad_call" and sentence in error["message"]

    def test_operators_have_shares_or_are_said_to_be_unknown(self, case: RuntimeCase) -> None:
        record = case.session.measure(case.push(per_op=True), QUICK)
        if record["per_op"] is None:
            assert len(record["per_op_missing"]) > 20
            return
        assert sum(row["share"] for row in record["per_op"]) == pytest.approx(1)
        assert all(row["op"] and row["latency_ms"] > 0 for row in record["per_op"])
        costs = [row["latency_ms"] for row in record["per_op"]]
        assert costs == sorted(costs, reverse=True)

    def test_wrong_inputs_are_named(self, case: RuntimeCase) -> None:
        job, right = case.push(), case.inputs
        wrong_shape, wrong_type = right[..., :5], right.astype(np.int8)
        with pytest.raises(MeasurementError, match="run_failed") as refused:
            case.session.run(job, wrong_shape)
        for shape in (right.shape, wrong_shape.shape):
            assert str((1, *shape[1:])) in str(refused.value)
        with pytest.raises(MeasurementError, match=r"takes float32 .* got int8"):
            case.session.run(job, wrong_type)

    @pytest.mark.parametrize("damage", ["half", "head", "tail", "text", "other zip", "one byte"])
    def test_a_damaged_file_fails_to_load(self, case: RuntimeCase, damage: str) -> None:
        whole = case.content
        damaged = {
            "half": whole[: len(whole) // 2],
            "head": whole[:8] + b"\xff" * 64 + whole[72:],
            "tail": whole[-500:],
            "text": b"no model at all" * 50,
            "other zip": b"PK\5\6" + bytes(18),
            "one byte": whole[:1],
        }[damage]
        job = case.push(damaged)
        error = case.session.measure(job, QUICK)["error"]
        assert error["kind"] in case.refusals and len(error["message"]) > 20
        with pytest.raises(MeasurementError, match="|".join(case.refusals)):
            case.session.run(job, case.inputs)
