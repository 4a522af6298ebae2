"""Putting the agent on a real board over SSH: only what is missing, privately, whole, and proven by the canary."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from edgewright.devices import Registry, SessionLimits, connect, open_session
from edgewright.devices.deployment.canary import send_canary
from edgewright.devices.deployment.deploy import DeployOptions, agent_status, deploy, remove_agent
from edgewright.devices.deployment.record import Deployment
from edgewright.devices.transport import Transport
from edgewright.errors import DeviceError, InputError


@pytest.fixture
def board(ssh_rig: Any, rig_env: dict[str, str], tmp_path: Path) -> Iterator[Transport]:
    """A board without anything of ours."""
    transport = connect(Registry(tmp_path).add("board", ssh_rig.uri), tmp_path)
    remove_agent(transport, "board")
    yield transport
    remove_agent(transport, "board")
    transport.close()


def shell(transport: Transport, script: str) -> str:
    done = transport.run(["sh", "-c", script, "sh", transport.agent_dir], 30)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


def test_only_what_is_missing_is_sent(board: Transport, tmp_path: Path) -> None:
    said: list[str] = []
    first = deploy(board, "board", tmp_path, say=said.append)
    assert len(first.sent) == 1 and 10_000 < first.sent_bytes < 1 << 20
    assert said[0].startswith("runtime: ai-edge-litert") and "python3" in said[0]
    second = deploy(board, "board", tmp_path, say=said.append)
    assert second.sent == () and second.deployment == first.deployment
    assert shell(board, 'ls "$1"').split() == [first.deployment.agent, "deployed.json", "home"]


def test_the_folder_is_the_users_alone(board: Transport, tmp_path: Path) -> None:
    deploy(board, "board", tmp_path)
    assert shell(board, 'stat -c %a "$1"') == "700"
    assert set(shell(board, 'stat -c %a "$1"/*').split()) <= {"600", "700"}


def test_a_link_in_its_place_is_not_followed(board: Transport, tmp_path: Path) -> None:
    shell(board, 'mkdir -p /tmp/elsewhere-of-ours && ln -s /tmp/elsewhere-of-ours "$1"')
    with pytest.raises(DeviceError, match="cannot make the private folder"):
        deploy(board, "board", tmp_path)
    assert shell(board, "ls -A /tmp/elsewhere-of-ours; rmdir /tmp/elsewhere-of-ours") == ""


@pytest.mark.parametrize("harm", ['echo x >> "$1"/agent-*', 'rm "$1"/agent-*', 'rm "$1"/deployed.json'])
def test_what_is_damaged_is_brought_again(board: Transport, tmp_path: Path, harm: str) -> None:
    deploy(board, "board", tmp_path)
    shell(board, harm)
    assert deploy(board, "board", tmp_path).deployment.runtime == "ai-edge-litert"
    assert deploy(board, "board", tmp_path).sent == ()


def test_another_versions_agent_is_named_then_replaced(board: Transport, tmp_path: Path) -> None:
    deploy(board, "board", tmp_path)
    record = json.loads(shell(board, 'cat "$1"/deployed.json'))
    old = {**record, "agent_sha256": "0" * 64, "agent": "agent-0000000000000000.pyz", "agent_version": "0.0.9"}
    source = tmp_path / "old.json"
    source.write_text(json.dumps(old))
    board.push(source, f"{board.agent_dir}/deployed.json")
    shell(board, 'touch "$1"/agent-0000000000000000.pyz')
    assert not agent_status(board, "board").current
    with pytest.raises(DeviceError, match=r"another version's \(0.0.9.*edgewright agent deploy board"):
        open_session(Registry(tmp_path).get("board"), tmp_path)
    deploy(board, "board", tmp_path)
    assert agent_status(board, "board").current
    assert "agent-0000000000000000.pyz" not in shell(board, 'ls "$1"')


def test_nothing_deployed_is_said(board: Transport, tmp_path: Path) -> None:
    assert agent_status(board, "board").deployment is None
    with pytest.raises(DeviceError, match="no agent on device 'board' yet.*edgewright agent deploy board"):
        open_session(Registry(tmp_path).get("board"), tmp_path)


def test_removing_leaves_nothing(board: Transport, tmp_path: Path) -> None:
    deploy(board, "board", tmp_path)
    with open_session(Registry(tmp_path).get("board"), tmp_path) as session:
        session.deliver(session.put_blob(b"a model"), "m.tflite")
    assert remove_agent(board, "board")
    assert shell(board, 'ls -d "$1" 2>/dev/null || echo gone') == "gone"
    assert not remove_agent(board, "board")


def test_a_python_of_the_users_choice(board: Transport, tmp_path: Path) -> None:
    """Debian's own Python on the board has no runtime, and that is said; a path that is none too."""
    with pytest.raises(DeviceError, match="/usr/bin/python3 on device 'board' cannot run the agent: numpy is not"):
        deploy(board, "board", tmp_path, DeployOptions(python="/usr/bin/python3"))
    with pytest.raises(InputError, match="no program '/nowhere/python3'"):
        deploy(board, "board", tmp_path, DeployOptions(python="/nowhere/python3"))
    assert agent_status(board, "board").deployment is None


def test_a_runtime_nobody_has(board: Transport, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="no Python with a working tflite-runtime: .*pip install tflite-runtime"):
        deploy(board, "board", tmp_path, DeployOptions(runtime="tflite-runtime"))


@pytest.mark.parametrize("name", ["../agent", "agent;reboot", "a b", "$(reboot)", ".hidden", "a/b"])
def test_a_file_name_from_the_device_is_data(name: str) -> None:
    """deployed.json is the device's word: a name in it that leads out of the folder, or into a shell, is refused."""
    fields = {
        "schema": 1, "agent": name, "agent_sha256": "0" * 64, "agent_version": "1", "protocol": 2,
        "argv": ["python3"], "runtime": None, "runtime_version": None, "reason": "",
    }  # fmt: skip
    with pytest.raises(ValueError, match="not a valid file name"):
        Deployment.from_json(fields)


def test_a_name_that_is_no_text_is_refused() -> None:
    fields = {
        "schema": 1, "agent": 5, "agent_sha256": "0" * 64, "agent_version": "1", "protocol": 2,
        "argv": ["python3"], "runtime": None, "runtime_version": None, "reason": "",
    }  # fmt: skip
    with pytest.raises(ValueError, match="5 is not a valid file name"):
        Deployment.from_json(fields)


class _Answering:
    """A device whose arithmetic is off, which no real one here is."""

    def __init__(self, offset: float, error: dict[str, str] | None = None) -> None:
        self.offset, self.error = offset, error

    def put_blob(self, data: bytes) -> str:
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(model_content=data)
        self.interpreter.allocate_tensors()
        return "0" * 64

    def measure(self, job: Any, protocol: Any) -> dict[str, Any]:
        return {"error": self.error} if self.error else {"median_ms": 1.0}

    def run(self, job: Any, inputs: Any, protocol: Any = None) -> Any:
        import numpy as np

        outputs = []
        for row in inputs:
            self.interpreter.set_tensor(self.interpreter.get_input_details()[0]["index"], row[None])
            self.interpreter.invoke()
            outputs.append(self.interpreter.get_tensor(self.interpreter.get_output_details()[0]["index"]))
        return np.concatenate(outputs) + np.float32(self.offset)  # (B, K)


def test_the_canary_tells_right_from_wrong() -> None:
    assert send_canary(_Answering(0.0), "board") == {"median_ms": 1.0}
    with pytest.raises(DeviceError, match=r"computes something different from this machine \(largest difference 0.01"):
        send_canary(_Answering(0.01), "board")
    crash = {"kind": "crash", "message": "killed by SIGILL"}
    with pytest.raises(DeviceError, match="fails at measuring a model: crash: killed by SIGILL"):
        send_canary(_Answering(0.0, crash), "board")


def test_limits_reach_the_session(board: Transport, tmp_path: Path) -> None:
    deployed = deploy(board, "board", tmp_path, limits=SessionLimits(start_s=30))
    assert deployed.canary_ms > 0
