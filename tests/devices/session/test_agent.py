"""Sessions with a real agent, started from the zipapp."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgewright.device_agent.template import Constant, Header, Template, TemplateSite
from edgewright.device_agent.timing import TimingProtocol
from edgewright.devices import LOCAL, AgentSession, MeasureJob, open_session
from edgewright.devices.local import LocalStream
from edgewright.errors import DeviceError, InputError, MeasurementError, StorageError
from edgewright.files import sha256_of

QUICK = TimingProtocol(n_warmup_min=1, warmup_max_ms=20, n_runs=5, min_time_ms=1)
Start = Callable[..., tuple[AgentSession, LocalStream]]


def test_this_machine_end_to_end(tmp_path: Path, small_model: bytes) -> None:
    with open_session(LOCAL, tmp_path / "workspace") as session:
        assert session.facts()["cores"] == os.cpu_count() and session.health()["load_1m"] is not None
        sha = session.put_blob(small_model)
        record = session.measure(MeasureJob(model_sha=sha), QUICK)
        assert len(record["samples_ms"]) >= 5 and record["agent_ms"] >= record["child_ms"]
        delivered = session.deliver(sha, "model.tflite")
        assert Path(delivered["path"]).read_bytes() == small_model and delivered["sha256"] == sha256_of(small_model)
    agent_folder = tmp_path / "workspace" / "agent"
    assert agent_folder.stat().st_mode & 0o777 == 0o700
    assert Path(delivered["path"]).is_relative_to(agent_folder)


def test_runs_of_many_inputs_are_joined(
    session: AgentSession, small_model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgewright.devices.session.agent._BATCH_BYTES", 150_000)  # two inputs a request
    inputs = np.random.default_rng(0).random((5, 32, 32, 16), dtype=np.float32)
    job = MeasureJob(model_sha=session.put_blob(small_model))
    outputs = session.run(job, inputs)
    assert outputs.shape == inputs.shape and outputs.dtype == np.float32
    assert np.array_equal(outputs[4:], session.run(job, inputs[4:]))
    assert not np.array_equal(outputs[0], outputs[1])


def test_several_inputs_and_outputs_keep_their_order_types_and_shapes(
    session: AgentSession, three_ends: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgewright.devices.session.agent._BATCH_INPUTS", 2)  # five sets in three requests
    rng = np.random.default_rng(0)
    floats, numbers = rng.standard_normal((5, 2, 3)).astype(np.float32), rng.integers(-9, 9, (5, 4), dtype=np.int32)
    single = rng.standard_normal(5).astype(np.float32)
    job = MeasureJob(model_sha=session.put_blob(three_ends))
    assert "error" not in session.measure(job, QUICK)
    negated, doubled, absolute = session.run_each(job, (floats, numbers, single))
    np.testing.assert_array_equal(negated, -floats, strict=True)
    np.testing.assert_array_equal(doubled, 2 * numbers, strict=True)
    np.testing.assert_array_equal(absolute, np.abs(single)[:, None], strict=True)


def test_inputs_that_do_not_go_with_the_model_or_with_each_other_are_named(
    session: AgentSession, three_ends: bytes, small_model: bytes
) -> None:
    job = MeasureJob(model_sha=session.put_blob(three_ends))
    floats, numbers = np.zeros((2, 2, 3), np.float32), np.zeros((2, 4), np.int32)
    single = np.zeros(2, np.float32)
    with pytest.raises(MeasurementError, match="the model takes 3 inputs, got 1"):
        session.run(job, floats[0])
    with pytest.raises(MeasurementError, match=r"takes int32 of shape \(4,\), got int64 of shape \(4,\)"):
        session.run_each(job, (floats, numbers.astype(np.int64), single))
    with pytest.raises(MeasurementError, match="all inputs must hold the same number of batches"):
        session.run_each(job, (floats, np.zeros((2, 8), np.int32), single))
    for wrong in ((), (floats, numbers[:1], single), (floats[:0], numbers[:0], single[:0]), (np.float32(3),)):
        with pytest.raises(InputError, match="same number of values for every input, and at least one; got arrays"):
            session.run_each(job, [np.asarray(value) for value in wrong])


def test_a_failing_model_is_a_value_in_measure_and_an_error_in_run(
    session: AgentSession, small_model: bytes, hungry_model: bytes
) -> None:
    corrupt = MeasureJob(model_sha=session.put_blob(b"no model" * 100))
    assert session.measure(corrupt, QUICK)["error"]["kind"] == "load_failed"
    with pytest.raises(MeasurementError, match="load_failed"):
        session.run(corrupt, np.zeros((1, 2), np.float32))
    hungry = MeasureJob(model_sha=session.put_blob(hungry_model))
    small = MeasureJob(model_sha=session.put_blob(small_model))
    assert session.measure(hungry, TimingProtocol(memory_limit_mib=50))["error"]["kind"] == "out_of_memory"
    assert session.measure(small, TimingProtocol(timeout_s=0.001))["error"]["kind"] == "timeout"
    assert "error" not in session.measure(small, QUICK), "the session goes on"


def test_a_crashing_child_is_a_value(
    start_agent: Start, slow_model: bytes, processes: object, crash_child: Callable[[int], None]
) -> None:
    session, stream = start_agent()
    job = MeasureJob(model_sha=session.put_blob(slow_model))
    crash_child(stream.pid)
    record = session.measure(job, TimingProtocol(min_time_ms=60_000, max_time_ms=60_000))
    assert record["error"]["kind"] == "crash" and "SIGSEGV" in record["error"]["message"]
    assert "error" not in session.measure(job, QUICK)
    session.close()


def test_blobs_travel_once_and_resume(start_agent: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgewright.devices.session.agent._CHUNK_BYTES", 1000)
    session, _ = start_agent()
    sent: list[int] = []
    put_chunk = AgentSession._put_chunk

    def counted(self: AgentSession, sha: str, data: bytes, offset: int) -> dict[str, object]:
        sent.append(offset)
        if len(sent) == 3:
            raise KeyboardInterrupt
        return put_chunk(self, sha, data, offset)

    monkeypatch.setattr(AgentSession, "_put_chunk", counted)
    data = np.random.default_rng(0).bytes(4500)
    with pytest.raises(KeyboardInterrupt):
        session.put_blob(data)
    session.close()
    later, _ = start_agent()
    sha = later.put_blob(data)
    assert sent == [0, 1000, 2000, 2000, 3000, 4000] and sha == sha256_of(data)
    assert later.put_blob(data) == sha and len(sent) == 6
    later.close()


def test_quota_and_names_are_refused_and_the_session_goes_on(start_agent: Start) -> None:
    session, _ = start_agent("--quota-mib", "1")
    with pytest.raises(DeviceError, match="quota"):
        session.put_blob(bytes(2 << 20))
    sha = session.put_blob(b"small enough")
    with pytest.raises(DeviceError, match="127 letters"):
        session.deliver(sha, "../../outside")
    with pytest.raises(DeviceError, match="not on this device"):
        session.deliver("0" * 64, "m.tflite")
    assert session.ping(b"still here") == b"still here"
    session.close()


def test_a_full_disk_is_said_and_survived(start_agent: Start) -> None:
    import resource

    session, stream = start_agent()
    resource.prlimit(stream.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
    with pytest.raises(DeviceError, match=r"refused blob_put \(system\).*File too large"):
        session.put_blob(bytes(200_000))
    assert session.ping() == b""
    session.close()


def template_over(model: bytes) -> bytes:
    """A template whose every subnet is `model` followed by two bytes a module of one site."""
    structure = model.ljust(-(-len(model) // 64) * 64, b"\0")
    head = Header(
        sites=(TemplateSite("units", 8),),
        constants=(Constant(len(structure) - 4, 0, 1, (8,), (0,)),),
        int32=(),
        int64=(),
    )
    return Template.seal(head, structure, bytes(range(16))).to_bytes()


def test_template_and_gates_make_the_model_on_the_device(session: AgentSession, small_model: bytes) -> None:
    template = session.put_blob(template_over(small_model))
    expected = session.run(MeasureJob(model_sha=session.put_blob(small_model)), np.ones((1, 32, 32, 16), np.float32))
    job = MeasureJob(template_sha=template, packed_gates=bytes([0b10110000]))
    record = session.measure(job, QUICK)
    assert "error" not in record and record["emit_ms"] > 0 and record["size_bytes"] > len(small_model)
    assert np.array_equal(session.run(job, np.ones((1, 32, 32, 16), np.float32)), expected)


def test_gates_that_do_not_fit_are_an_input_error(session: AgentSession, small_model: bytes) -> None:
    template = session.put_blob(template_over(small_model))
    with pytest.raises(InputError, match="cannot cut this subnet"):
        session.measure(MeasureJob(template_sha=template, packed_gates=b"\0" * 9), QUICK)
    with pytest.raises(InputError, match="not a template"):
        session.measure(MeasureJob(template_sha=session.put_blob(small_model), packed_gates=b"\xff"), QUICK)
    assert "error" not in session.measure(MeasureJob(template_sha=template, packed_gates=b"\xff"), QUICK)


def test_a_template_that_is_whole_but_not_sound_does_not_end_the_agent(session: AgentSession) -> None:
    structure = bytes(128)
    head = Header(
        sites=(TemplateSite("units", 8),),
        constants=(Constant(len(structure) - 4, 0, 1, (-1,), (None,)),),
        int32=(),
        int64=(),
    )
    sha = session.put_blob(Template.seal(head, structure, bytes(16)).to_bytes())
    with pytest.raises(InputError, match="cannot cut this subnet out of the template"):
        session.measure(MeasureJob(template_sha=sha, packed_gates=b"\xff"), QUICK)
    assert session.ping(b"still here") == b"still here"


@pytest.mark.parametrize(
    "fields",
    [{}, {"template_sha": "a"}, {"packed_gates": b"x"}, {"model_sha": "a", "template_sha": "b", "packed_gates": b"x"}],
)
def test_a_job_names_one_model(fields: dict[str, object]) -> None:
    with pytest.raises(InputError, match="either model_sha, or template_sha with packed_gates"):
        MeasureJob(**fields)  # type: ignore[arg-type]


def test_unwritable_workspace(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="file is in the way"):
        open_session(LOCAL, tmp_path / "file")


def test_importing_devices_stays_light(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys, edgewright.devices; "
        "print(sorted({'torch', 'timm', 'litert_torch', 'pandas', 'sklearn', 'ai_edge_litert'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)
    assert done.stdout == b"[]\n"
