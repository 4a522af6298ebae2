"""What ends a session: dead, silent and babbling agents, dead hosts. Each gives one sentence and leaves no process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgewright.device_agent.timing import TimingProtocol
from edgewright.devices import AgentSession, MeasureJob, SessionLimits
from edgewright.devices.local import LocalStream
from edgewright.errors import DeviceError, DeviceRefused

LONG = TimingProtocol(min_time_ms=120_000, max_time_ms=120_000, timeout_s=200)
SHORT_LIMITS = SessionLimits(silence_s=2.0, heartbeat_s=0.3, reply_s=5.0, start_s=30.0)
DEAF = SessionLimits(close_s=0.2)  # what plays an agent answers no bye
Start = Callable[..., tuple[AgentSession, LocalStream]]


def in_thread(action: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    return thread


def test_agent_killed_in_mid_measurement(start_agent: Start, slow_model: bytes, processes: Any) -> None:
    session, stream = start_agent()
    job = MeasureJob(model_sha=session.put_blob(slow_model))
    seen: list[int] = []

    def kill() -> None:
        processes.wait_for(lambda: processes.children(stream.pid))
        seen.extend(processes.children(stream.pid))
        os.kill(stream.pid, signal.SIGKILL)

    thread = in_thread(kill)
    started = time.monotonic()
    with pytest.raises(DeviceError) as caught:
        session.measure(job, LONG)
    thread.join()
    assert time.monotonic() - started < 60
    message = str(caught.value)
    assert "device 'bench'" in message and "SIGKILL" in message and "open a new session" in message
    processes.wait_for(lambda: not processes.is_running(seen[0]))
    with pytest.raises(DeviceError, match="is over"):
        session.ping()
    session.close()


def test_stopped_agent_falls_silent(start_agent: Start, slow_model: bytes, processes: Any) -> None:
    session, stream = start_agent(limits=SHORT_LIMITS)
    job = MeasureJob(model_sha=session.put_blob(slow_model))

    def stop() -> None:
        processes.wait_for(lambda: processes.children(stream.pid))
        os.kill(stream.pid, signal.SIGSTOP)

    in_thread(stop)
    with pytest.raises(DeviceError, match="no sign of life for 2 s"):
        session.measure(job, LONG)
    assert not processes.is_running(stream.pid)


def test_a_busy_agent_is_not_silent(start_agent: Start, slow_model: bytes) -> None:
    session, _ = start_agent(limits=SHORT_LIMITS)
    job = MeasureJob(model_sha=session.put_blob(slow_model))
    record = session.measure(job, TimingProtocol(min_time_ms=4000, max_time_ms=4000))
    assert sum(record["samples_ms"]) > 3000
    session.close()


def test_an_idle_session_outlives_the_silence_limit(start_agent: Start) -> None:
    session, _ = start_agent(limits=SHORT_LIMITS)
    time.sleep(3.0)
    assert session.ping(b"x") == b"x"
    session.close()


def test_closing_ends_the_agent(start_agent: Start, processes: Any) -> None:
    session, stream = start_agent()
    session.close()
    session.close()
    assert stream.ending() == "it ended with exit code 0"


def test_interrupt_in_mid_measurement_ends_agent_and_child(
    start_agent: Start, slow_model: bytes, processes: Any
) -> None:
    session, stream = start_agent()
    job = MeasureJob(model_sha=session.put_blob(slow_model))
    seen: list[int] = []

    def interrupt() -> None:
        processes.wait_for(lambda: processes.children(stream.pid))
        seen.extend(processes.children(stream.pid))
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = in_thread(interrupt)
    with pytest.raises(KeyboardInterrupt), session:
        session.measure(job, LONG)
    thread.join()
    processes.wait_for(lambda: not processes.is_running(seen[0]) and not processes.is_running(stream.pid))


HOST = """
import sys
from pathlib import Path
from edgewright.device_agent.timing import TimingProtocol
from edgewright.devices import LOCAL, MeasureJob, open_session
session = open_session(LOCAL, Path(sys.argv[1]))
job = MeasureJob(model_sha=session.put_blob(Path(sys.argv[2]).read_bytes()))
session.measure(job, TimingProtocol(min_time_ms=120_000, max_time_ms=120_000, timeout_s=200))
"""


def test_dead_host_takes_agent_and_child_with_it(tmp_path: Path, slow_model: bytes, processes: Any) -> None:
    (tmp_path / "model").write_bytes(slow_model)
    host = subprocess.Popen([sys.executable, "-c", HOST, str(tmp_path / "workspace"), str(tmp_path / "model")])
    family: list[int] = []

    def measuring() -> bool:
        agents = processes.children(host.pid)
        family[:] = agents + [child for agent in agents for child in processes.children(agent)]
        return len(family) == 2

    processes.wait_for(measuring, 60.0)
    host.kill()
    host.wait()
    processes.wait_for(lambda: not any(processes.is_running(pid) for pid in family))


def fake_agent(code: str) -> LocalStream:
    return LocalStream([sys.executable, "-c", code])


REPLY = """
import sys
from edgewright.device_agent.frames import read_frame, write_frame
read_frame(sys.stdin.buffer)
write_frame(sys.stdout.buffer, {reply})
sys.stdin.buffer.read()
"""


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('Welcome to the board! ' * 10, flush=True); input()", "something other than a reply.*Welc"),
        ("import sys; sys.exit('no such option')", "exit code 1.*no such option"),
        ("import sys; sys.stdin.buffer.read(10); sys.stdout.write('EWF1'); sys.exit(0)", "before the end of a frame"),
        ("import os; os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("import time; time.sleep(600)", "did not answer hello: no reply within 1 s"),
        (REPLY.format(reply="{'re': 1, 'ok': {'protocol': 99}}"), "speaks protocol 99.*edgewright agent deploy board"),
        (REPLY.format(reply="{'re': 77, 'ok': {}}"), "a reply to request 77 instead of 1"),
        (REPLY.format(reply="{'re': 1, 'ok': 5}"), "a reply without ok or error"),
        (REPLY.format(reply="{'re': 1, 'error': {'kind': 'system', 'message': 'full'}}"), "refused hello.*full"),
    ],
    ids=["babble", "exit", "half", "crash", "silent", "version", "order", "types", "refusal"],
)  # fmt: skip
def test_what_is_no_agent_is_named(code: str, said: str, processes: Any) -> None:
    stream = fake_agent(code)
    patient = code.count("import") > 1 or "exit" in code or "kill" in code
    limits = SessionLimits(start_s=30.0 if patient else 1.0, silence_s=30.0)
    with pytest.raises(DeviceError, match=f"(?s){said}") as caught:
        AgentSession(stream, "board", limits)
    assert "'board'" in str(caught.value)
    assert not processes.is_running(stream.pid)


SECOND_REPLY = """
import sys
from edgewright.device_agent import PROTOCOL_VERSION
from edgewright.device_agent.frames import read_frame, write_frame
def send(header): write_frame(sys.stdout.buffer, header)
read_frame(sys.stdin.buffer)
send({{"re": 1, "ok": {{"protocol": PROTOCOL_VERSION}}}})
while (frame := read_frame(sys.stdin.buffer)).header["op"] == "heartbeat":
    pass
{reply}
sys.stdin.buffer.read()
"""


def test_a_delivery_that_arrived_as_something_else_is_an_error() -> None:
    reply = """send({"re": 2, "ok": {"path": "/home/m.tflite", "sha256": "0" * 64}})"""
    with AgentSession(fake_agent(SECOND_REPLY.format(reply=reply)), "board", DEAF) as session:
        with pytest.raises(DeviceError, match="/home/m.tflite on device 'board' has sha256 0000.*instead of ffff"):
            session.deliver("f" * 64, "m.tflite")


def test_endless_records_in_place_of_a_reply_are_cut_off_at_the_first() -> None:
    reply = """[send({"record": {}, "re": 2}) for _ in iter(int, 1)]"""
    with AgentSession(fake_agent(SECOND_REPLY.format(reply=reply)), "board", DEAF) as session:
        with pytest.raises(DeviceError, match="something other than a reply to ping: a record"):
            session.ping()


@pytest.mark.parametrize(
    ("kind", "error"), [("no_runtime", DeviceRefused), ("busy", DeviceRefused), ("blob", DeviceError)]
)
def test_a_refusal_is_no_loss(kind: str, error: type[DeviceError]) -> None:
    """Only a blob that is gone is worth another try: it is pushed again then."""
    reply = f"""send({{"re": 2, "error": {{"kind": {kind!r}, "message": "no"}}}})"""
    with AgentSession(fake_agent(SECOND_REPLY.format(reply=reply)), "board", DEAF) as session:
        with pytest.raises(DeviceError, match="refused ping") as caught:
            session.ping()
    assert type(caught.value) is error


def test_an_agent_that_takes_no_request_is_a_device_error(start_agent: Start) -> None:
    session, stream = start_agent(limits=SHORT_LIMITS)
    os.kill(stream.pid, signal.SIGSTOP)
    with pytest.raises(DeviceError, match=r"device 'bench': its agent did not answer"):
        session.put_blob(bytes(8 << 20))


@pytest.mark.parametrize("values", [{"heartbeat_s": 0}, {"heartbeat_s": 5, "silence_s": 4}, {"reply_s": -1}])
def test_limits_are_checked(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="got"):
        SessionLimits(**values)
