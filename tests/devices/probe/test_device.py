"""A look at a device: the script in real shells and on real devices."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from edgewright.device_agent.facts import facts, health
from edgewright.devices.connect import connect
from edgewright.devices.local import LocalTransport
from edgewright.devices.probe.device import probe_device, probe_health
from edgewright.devices.probe.parsing import parse_report
from edgewright.devices.probe.report import cpu_list
from edgewright.devices.probe.script import HEALTH, PROBE
from edgewright.devices.registry import Device
from edgewright.devices.transport import Transport
from edgewright.errors import DeviceError


@pytest.fixture
def local(tmp_path: Path) -> LocalTransport:
    return LocalTransport(tmp_path / "not" / "there" / "yet")


@pytest.fixture(params=["ssh_rig", "board_rig", "phone_rig"])
def far(request: pytest.FixtureRequest, rig_env: dict[str, str], tmp_path: Path) -> Iterator[Transport]:
    rig = request.getfixturevalue(request.param)
    transport = connect(Device(request.param, rig.uri), tmp_path)
    yield transport
    transport.close()


def test_this_machine_is_what_its_own_agent_says_it_is(local: LocalTransport, tmp_path: Path) -> None:
    report, told = probe_device(local), facts()
    assert report.device_id == told["device_id"] and report.device_id_source == told["device_id_source"]
    assert (report.machine, report.kernel, report.os) == (told["machine"], told["kernel"], told["os"])
    assert report.cpu_model == told["cpu_model"] and report.libc == told["glibc"]
    assert report.memory_total_mib == pytest.approx(told["memory_total_mib"])
    assert report.temperatures_c == health()["temperatures_c"] or report.temperatures_c is not None
    assert report.free_path == str(tmp_path)
    assert report.free_mib == pytest.approx(shutil.disk_usage(tmp_path).free / 2**20, rel=0.05)
    assert cpu_list([cpu for cluster in report.clusters for cpu in cluster.cpus]) == cpu_list(range(report.cores or 0))


def test_health_has_the_keys_of_the_agents_health(local: LocalTransport) -> None:
    seen, told = probe_health(local), health()
    assert list(seen) == list(told)
    assert [name for name in seen if seen[name] is None] == [name for name in told if told[name] is None]
    assert seen["steal_ms"] == pytest.approx(told["steal_ms"], rel=0.05, abs=5000)


@pytest.mark.parametrize(
    "shell", [["dash"], ["bash", "--posix"], ["busybox", "sh"], ["mksh"]], ids=lambda argv: argv[0]
)
@pytest.mark.parametrize("script", [PROBE, HEALTH], ids=["probe", "health"])
def test_the_script_says_the_same_in_every_shell(shell: list[str], script: str, local: LocalTransport) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"there is no {shell[0]} here; apt-get install busybox-static mksh")
    done = subprocess.run([*shell, "-c", script, "sh", local.agent_dir], capture_output=True, text=True, timeout=60)
    assert done.stderr == "" and done.returncode == 0
    report, reference = parse_report(done.stdout), probe_device(local)
    if script == PROBE:
        for name in ("model", "os", "machine", "kernel", "libc", "cores", "clusters", "user", "free_path", "device_id"):
            assert getattr(report, name) == getattr(reference, name), name
    else:
        assert report.memory_total_mib == reference.memory_total_mib


def test_a_folder_name_is_never_code(tmp_path: Path) -> None:
    hostile = tmp_path / f"$(touch {tmp_path.name}-pwned); touch 'pwned' \n `id`"
    report = probe_device(LocalTransport(hostile))
    assert report.free_path == str(tmp_path) and list(tmp_path.iterdir()) == []


def test_a_device_without_a_shell_is_a_device_error(local: LocalTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DeviceError, match="sh"):
        probe_device(local)


def test_half_an_answer_is_no_report(local: LocalTransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A restricted login: something calls itself sh, says a word and ends well."""
    (tmp_path / "sh").write_text("#!/bin/sh\necho machine=aarch64\necho This account may not run commands. >&2\n")
    (tmp_path / "sh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for look in (probe_device, probe_health):
        with pytest.raises(DeviceError, match="exit code 0, it said: 'This account may not run commands.'"):
            look(local)


def test_a_far_device_shows_what_it_is(far: Transport) -> None:
    report = probe_device(far)
    assert report.machine and report.kernel and report.memory_total_mib and report.cores
    assert report.user and report.uid and not report.is_root
    assert report.free_mib and far.agent_dir.startswith(str(report.free_path))
    assert len(str(report.device_id)) == 16
    assert probe_health(far)["memory_available_mib"]
    json.dumps(report.to_json())


def test_the_phone_is_android_and_the_board_is_a_board(
    phone_rig: object, board_rig: object, rig_env: dict[str, str], tmp_path: Path
) -> None:
    with_phone = connect(Device("phone", phone_rig.uri), tmp_path)  # type: ignore[attr-defined]
    phone = probe_device(with_phone)
    with_phone.close()
    assert phone.is_android and str(phone.os).startswith("Android ") and phone.libc is None
    assert phone.machine == "aarch64" and phone.model == "Edgewright Emulated Phone" and "EW8000" in str(phone.soc)
    little, big = phone.clusters
    assert (little.part, little.min_khz, little.max_khz) == ("Cortex-A55", 300_000, 1_804_800)
    assert (big.part, big.min_khz, big.max_khz, big.governor) == ("Cortex-A78", 710_400, 2_841_600, "schedutil")
    assert phone.temperatures_c == {"0:cpu-0-0": 31.25, "1:cpu-1-0": 33.5, "2:battery": 29.1}
    assert phone.battery is not None and phone.battery.percent == 87 and phone.user == "2000"
    with_board = connect(Device("board", board_rig.uri), tmp_path)  # type: ignore[attr-defined]
    board = probe_device(with_board)
    with_board.close()
    assert not board.is_android and board.machine == "aarch64"
    assert str(board.model).startswith("NVIDIA Jetson Orin Nano") and "36.3.0" in str(board.l4t)
    assert board.glibc_version is not None and board.glibc_version >= (2, 34)
