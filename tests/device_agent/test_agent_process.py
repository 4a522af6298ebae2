"""A real agent process on real pipes, spoken to in raw bytes."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgewright.device_agent import PROTOCOL_VERSION
from edgewright.device_agent.frames import MAGIC, MAX_HEADER_BYTES, LinkClosed, encode_frame, read_frame
from edgewright.device_agent.timing import TimingProtocol

HELLO = {"op": "hello", "id": 0, "protocol": PROTOCOL_VERSION, "heartbeat_s": 0.2, "silence_s": 30.0}


class AgentProcess:
    def __init__(self, home: Path, **environment: str) -> None:
        argv = [sys.executable, "-m", "edgewright.device_agent", "--home", str(home)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(argv, env={**os.environ, **environment}, **pipes)

    def send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def reply(self) -> dict[str, Any]:
        """The next frame's header; heartbeats are left out."""
        while True:
            header = read_frame(self.process.stdout).header
            if "heartbeat" not in header:
                return header

    def ask(self, header: dict[str, Any], payload: bytes = b"") -> dict[str, Any]:
        self.send(encode_frame(header, payload))
        return self.reply()

    def end(self) -> tuple[int, bytes]:
        """Close stdin, and return the exit code and all that is left on stdout."""
        rest, _ = self.process.communicate(timeout=30)
        return self.process.returncode, rest

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    started = AgentProcess(tmp_path / "home")
    yield started
    started.stop()


def test_closing_stdin_ends_it(agent: AgentProcess) -> None:
    assert agent.ask(HELLO)["ok"]["protocol"] == PROTOCOL_VERSION
    assert agent.end() == (0, b"")


def test_bye_is_answered(agent: AgentProcess) -> None:
    agent.ask(HELLO)
    assert agent.ask({"op": "bye", "id": 9}) == {"re": 9, "ok": {}}
    assert agent.process.wait(timeout=30) == 0


def _wrong_checksum() -> bytes:
    frame = bytearray(encode_frame({"op": "ping"}, b"payload"))
    frame[-1] ^= 1
    return bytes(frame)


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: device\r\n\r\n",
        struct.pack(">4sIII", MAGIC, MAX_HEADER_BYTES + 1, 0, 0),
        struct.pack(">4sIII", MAGIC, 2, 0xFFFFFFFF, 0),
        _wrong_checksum(),
        encode_frame({"op": "ping"}, b"payload")[:-3],
    ],
    ids=["magic", "header size", "payload size", "checksum", "truncated"],
)
def test_garbage_is_answered_with_an_error_and_a_close(agent: AgentProcess, garbage: bytes) -> None:
    agent.ask(HELLO)
    agent.send(garbage)
    assert agent.process.stdin is not None
    agent.process.stdin.close()
    assert agent.reply()["error"]["kind"] == "frame"
    with pytest.raises(LinkClosed):
        agent.reply()
    assert agent.process.wait(timeout=30) == 1


TIMING = TimingProtocol().to_json()
ZEROS = "0" * 64
RUN = {"op": "run", "model_sha": ZEROS, "timing": TIMING, "gates_bytes": 0}


@pytest.mark.parametrize(
    ("request_header", "kind"),
    [
        ({"op": "format_disk"}, "bad_request"),
        ({"op": None}, "bad_request"),
        ({"op": ["ping"]}, "bad_request"),
        ({}, "bad_request"),
        ({"op": "hello", "protocol": "1"}, "bad_request"),
        ({"op": "hello", "protocol": 1, "heartbeat_s": -1, "silence_s": 5}, "bad_request"),
        ({"op": "blob_stat"}, "bad_request"),
        ({"op": "blob_stat", "sha": "../../etc/passwd"}, "blob"),
        ({"op": "blob_put", "sha": ZEROS, "size": "10", "offset": 0}, "bad_request"),
        ({"op": "blob_put", "sha": ZEROS, "size": 1 << 39, "offset": 0}, "blob"),
        ({"op": "deliver", "sha": ZEROS, "name": "../m"}, "blob"),
        ({"op": "measure", "model_sha": ZEROS, "timing": TIMING}, "blob"),
        ({"op": "measure", "model_sha": ZEROS, "template_sha": ZEROS, "timing": TIMING}, "bad_request"),
        ({"op": "measure", "timing": TIMING}, "bad_request"),
        ({"op": "measure", "model_sha": ZEROS}, "bad_request"),
        ({"op": "measure", "model_sha": ZEROS, "timing": {"n_runs": -1}}, "bad_request"),
        ({"op": "measure", "model_sha": ZEROS, "timing": [1]}, "bad_request"),
        ({**RUN, "inputs": [{"shape": [1], "dtype": "float32"}], "gates_bytes": 5}, "bad_request"),
        ({**RUN, "inputs": [{"shape": [1], "dtype": "object"}]}, "bad_request"),
        ({**RUN, "inputs": [{"shape": [9], "dtype": "float32"}]}, "bad_request"),
        ({**RUN, "inputs": [{"shape": [1 << 29] * 8, "dtype": "float32"}]}, "bad_request"),
        ({**RUN, "inputs": [{"dtype": "float32"}]}, "bad_request"),
        ({**RUN, "inputs": [{"shape": [0], "dtype": ["float32"]}]}, "bad_request"),
        ({**RUN, "inputs": [[1]]}, "bad_request"),
        ({**RUN, "inputs": []}, "bad_request"),
        ({**RUN, "inputs": "all"}, "bad_request"),
        (RUN, "bad_request"),
    ],
    ids=str,
)
def test_bad_requests_are_refused_and_the_loop_goes_on(
    shared_agent: AgentProcess, request_header: dict[str, Any], kind: str
) -> None:
    reply = shared_agent.ask({**request_header, "id": 5})
    assert reply["re"] == 5 and reply["error"]["kind"] == kind and reply["error"]["message"]
    assert shared_agent.ask({"op": "ping", "id": 6}) == {"re": 6, "ok": {}}


@pytest.fixture(scope="module")
def shared_agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    started = AgentProcess(tmp_path_factory.mktemp("agent") / "home")
    started.ask(HELLO)
    yield started
    started.stop()


@pytest.mark.parametrize("identity", [None, "five", [1], -1, 1.5, 1 << 60])
def test_only_plain_ids_are_repeated(shared_agent: AgentProcess, identity: object) -> None:
    assert shared_agent.ask({"op": "ping", "id": identity}) == {"re": None, "ok": {}}


def test_random_requests_never_end_it(shared_agent: AgentProcess) -> None:
    rng = np.random.default_rng(0)
    operations = ["hello", "ping", "facts", "blob_stat", "blob_put", "measure", "run", "deliver", "nonsense"]
    names = ["sha", "size", "offset", "name", "timing", "model_sha", "template_sha", "gates_bytes", "inputs"]
    values = [None, -1, 0, 3, 1e308, "", "x" * 300, ZEROS, [], [1, [2]], {}, {"n_runs": "5"}, [{}], True]
    for number in range(300):
        header: dict[str, Any] = {"op": operations[rng.integers(len(operations))], "id": number}
        for _ in range(rng.integers(5)):
            header[names[rng.integers(len(names))]] = values[rng.integers(len(values))]
        reply = shared_agent.ask(header, rng.bytes(int(rng.integers(20))))
        assert reply["re"] == number and ("ok" in reply) != ("error" in reply)


def test_nothing_before_hello(agent: AgentProcess) -> None:
    assert "hello" in agent.ask({"op": "facts", "id": 1})["error"]["message"]
    agent.ask({**HELLO, "protocol": PROTOCOL_VERSION + 1})
    assert "hello" in agent.ask({"op": "facts", "id": 2})["error"]["message"], "another protocol is no greeting"
    agent.ask(HELLO)
    assert agent.ask({"op": "facts", "id": 3})["ok"]["machine"]


def test_a_silent_host_counts_as_gone(agent: AgentProcess) -> None:
    agent.ask({**HELLO, "silence_s": 0.5})
    assert agent.process.wait(timeout=30) == 0


def test_heartbeats_of_the_host_keep_it_alive(agent: AgentProcess) -> None:
    agent.ask({**HELLO, "silence_s": 1.5})
    for _ in range(10):
        agent.send(encode_frame({"op": "heartbeat"}))
        with pytest.raises(subprocess.TimeoutExpired):
            agent.process.wait(timeout=0.3)
    assert agent.ask({"op": "ping", "id": 1})["re"] == 1


def test_busy_agent_sends_heartbeats_and_refuses_a_second_request(agent: AgentProcess, slow_model: bytes) -> None:
    agent.ask(HELLO)
    sha = hashlib.sha256(slow_model).hexdigest()
    agent.ask({"op": "blob_put", "id": 1, "sha": sha, "size": len(slow_model), "offset": 0}, slow_model)
    timing = TimingProtocol(min_time_ms=1500, max_time_ms=1500).to_json()
    agent.send(encode_frame({"op": "measure", "id": 2, "model_sha": sha, "timing": timing}))
    agent.send(encode_frame({"op": "facts", "id": 3}))
    seen = []
    while not seen or seen[-1].get("re") != 2:
        seen.append(read_frame(agent.process.stdout).header)
    assert sum("heartbeat" in header for header in seen) >= 2
    assert [header["error"]["kind"] for header in seen if header.get("re") == 3] == ["busy"]
    assert len(seen[-1]["ok"]["samples_ms"]) > 1


def test_bye_ends_a_busy_agent(agent: AgentProcess, slow_model: bytes) -> None:
    agent.ask(HELLO)
    sha = hashlib.sha256(slow_model).hexdigest()
    agent.ask({"op": "blob_put", "id": 1, "sha": sha, "size": len(slow_model), "offset": 0}, slow_model)
    timing = TimingProtocol(min_time_ms=120_000, max_time_ms=120_000, timeout_s=200).to_json()
    agent.send(encode_frame({"op": "measure", "id": 2, "model_sha": sha, "timing": timing}))
    agent.send(encode_frame({"op": "bye", "id": 3}))
    assert agent.process.wait(timeout=20) == 0, "well before the host counts as silent"


def test_a_library_that_prints_does_not_reach_the_stream(tmp_path: Path) -> None:
    """A runtime that greets on stdout, from Python and from below it, as native libraries do."""
    (tmp_path / "site" / "ai_edge_litert").mkdir(parents=True)
    (tmp_path / "site" / "ai_edge_litert" / "__init__.py").write_text("")
    greeting = (
        "import os\nprint('hello from python', flush=True)\nos.write(1, b'hello from below')\nInterpreter = None\n"
    )
    (tmp_path / "site" / "ai_edge_litert" / "interpreter.py").write_text(greeting)
    agent = AgentProcess(
        tmp_path / "home", PYTHONPATH=os.pathsep.join((str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")))
    )
    try:
        assert agent.ask(HELLO)["re"] == 0
        code, rest = agent.end()
        assert (code, rest) == (0, b"")
    finally:
        agent.stop()


def test_a_home_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    argv = [sys.executable, "-m", "edgewright.device_agent", "--home", str(tmp_path / "file" / "home")]
    done = subprocess.run(argv, input=b"", capture_output=True, timeout=60, check=False)
    assert done.returncode == 1 and done.stdout == b""
    assert b"cannot start in" in done.stderr and b"Traceback" not in done.stderr
