"""The whole life of a device at the command line, on every rig: add, check, deploy, profile, customise, remove."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from edgewright.devices import Device, connect
from edgewright.files import sha256_of

from tests.cli.command_line import Cli
from tests.marks import sweep
from tests.rigs.fixtures import running


@pytest.fixture
def cli(tmp_path: Path, workspace: Path, template: Any) -> Cli:
    """The supernet is converted once for all tests, as it is once for all devices of a user."""
    (tmp_path / "templates").symlink_to(workspace / "templates")
    return Cli(tmp_path)


@pytest.fixture(params=["ssh_rig", sweep("board_rig"), sweep("phone_rig")])
def rig(request: pytest.FixtureRequest, rig_env: dict[str, str]) -> Any:
    return request.getfixturevalue(request.param)


def _sha256_there(uri: str, path: str, workspace: Path) -> str:
    """As a program of the device tells it."""
    transport = connect(Device("target", uri), workspace)
    try:
        return transport.run(["sha256sum", path], 60).stdout.decode().split()[0]
    finally:
        transport.close()


@pytest.mark.timeout(600)
def test_a_device_from_first_to_last(rig: Any, cli: Cli, tmp_path: Path) -> None:
    cli("device", "add", "target", rig.uri)
    before = cli("device", "check", "target")
    assert not before["agent"]["deployed"] and before["report"]["machine"] in ("x86_64", "aarch64")
    assert cli("profile", "target", code=4)["error"].startswith("there is no agent on device 'target' yet")

    first = cli("agent", "deploy", "target")
    assert first["sent"] and first["deployment"]["runtime"] == "ai-edge-litert"
    second = cli("agent", "deploy", "target")
    assert second["sent"] == []
    status = cli("agent", "status", "target")
    assert status["deployed"] and status["current"] and status["used_kib"] > 50

    profiled = cli("profile", "target", "--subnets", "30")["profile"]
    assert profiled["n_failed"] == 0 and profiled["n_measured"] == profiled["total"]
    budget = ("--memory-mib", "64")  # latency under emulation means nothing
    words = ("customize", "--task", "only two, even", "--device", "target", *budget, "--out", "m.tflite", "--push",
             "--test-images", "60")  # fmt: skip
    artifact = cli(*words)
    assert artifact["verified"] and artifact["parity_max_abs"] < 1e-3 and artifact["accuracy"] > 0.8
    assert artifact["device_path"].endswith("/artifacts/m.tflite")
    assert (tmp_path / "m.tflite").stat().st_size == artifact["size_bytes"]
    pushed = cli("push", "m.tflite", "target")
    assert pushed["path"] == artifact["device_path"]
    assert _sha256_there(rig.uri, pushed["path"], tmp_path) == sha256_of((tmp_path / "m.tflite").read_bytes())

    removed = cli("agent", "remove", "target")
    assert removed["removed"]
    after = cli("device", "check", "target")
    assert not after["agent"]["deployed"]
    assert not cli("agent", "remove", "target")["removed"], "nothing was left behind"
    assert cli("device", "remove", "target") == {"removed": "target"}


def test_two_phones_and_no_serial_are_refused(phone_rig: Any, adb_server: Any, rig_env: Any, cli: Cli) -> None:
    from tests.rigs.phone import PhoneRig

    with running(lambda: PhoneRig(adb_server, "EMU-OTHER")) as other:
        said = cli("device", "add", "phone", "adb://", code=2)["error"]
    assert all(f"edgewright device add NAME adb://{rig.serial}" in said for rig in (phone_rig, other))
    assert [device["name"] for device in cli("device", "list")["devices"]] == ["local"]
