"""A look at a device: the script on real shells and devices, the parser on what devices we do not have would print."""

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
from edgewright.devices.probe.needs import Need, missing
from edgewright.devices.probe.parsing import parse_health, parse_report, probe_device, probe_health
from edgewright.devices.probe.pythons import DevicePython
from edgewright.devices.probe.report import Battery, Cluster, DeviceReport, cpu_list, glibc_version
from edgewright.devices.probe.script import HEALTH, PROBE
from edgewright.devices.registry import Device
from edgewright.devices.transport import Transport
from edgewright.errors import DeviceError, InputError

# What the script prints on a phone with three kinds of CPU, its fastest switched off, and SELinux hiding the battery.
PHONE = """
loadavg=1.80 2.10 2.00 3/4211 9876
stat=cpu  100 0 100 1000 0 0 0 0 0 0
MemTotal=       7812345 kB
MemAvailable=   3906172 kB
cpu.0.current=1804800
cpu.1.current=300000
cpu.4.current=2419200
zone.0.type=cpu-0-0
zone.0.temp=41200
zone.1.type=modem
zone.1.temp=-273000
zone.2.type=skin
zone.2.temp=0
zone.3.type=old-sensor
zone.3.temp=38
zone.4.type=charger
zone.4.temp=275000
machine=aarch64
kernel=5.10.107-android13
uid=2000
user=shell
cpu.online=0-6
cpu.present=0-7
cpuinfo=processor\t: 0
cpuinfo=CPU implementer\t: 0x41
cpuinfo=CPU part\t: 0xd05
cpuinfo=processor\t: 1
cpuinfo=CPU implementer\t: 0x41
cpuinfo=CPU part\t: 0xd05
cpuinfo=processor\t: 4
cpuinfo=CPU implementer\t: 0x41
cpuinfo=CPU part\t: 0xd41
cpuinfo=processor\t: 5
cpuinfo=CPU implementer\t: 0x41
cpuinfo=CPU part\t: 0xd41
cpuinfo=processor\t: 6
cpuinfo=CPU implementer\t: 0x41
cpuinfo=CPU part\t: 0xd44
cpu.0.min=300000
cpu.0.max=1804800
cpu.0.governor=schedutil
cpu.0.related=0 1 2 3
cpu.1.min=300000
cpu.1.max=1804800
cpu.1.governor=schedutil
cpu.1.related=0 1 2 3
cpu.4.min=691200
cpu.4.max=2419200
cpu.4.governor=schedutil
cpu.4.related=4 5
cpu.6.min=806400
cpu.6.max=2841600
cpu.6.governor=performance
cpu.6.related=6 7
ro.product.manufacturer=Maker
ro.product.model=Maker Phone 5
ro.soc.manufacturer=QTI
ro.soc.model=SM8350
ro.build.version.release=13
ro.build.version.sdk=33
ro.serialno=ABC123
dumpsys.level=43
dumpsys.scale=50
dumpsys.status=2
dumpsys.temperature=285
screen=Awake
selinux=Enforcing
libc.ldd=ldd (GNU libc) 2.31
df.path=/data/local/tmp
df=Filesystem     1024-blocks    Used Available Capacity Mounted on
df=/dev/block/dm-44 112000000 90000000 21504000      81% /data
"""

# A Jetson Nano with JetPack 4: four CPUs of one policy, no ldd, no getconf.
JETPACK_4 = """
MemTotal=4059264 kB
zone.0.type=CPU-therm
zone.0.temp=74500
machine=aarch64
uid=1000
user=nvidia
home=/home/nvidia
dt.model=NVIDIA Jetson Nano Developer Kit
dt.compatible=nvidia,p3450-0000 nvidia,tegra210
machine_id=0123456789abcdef0123456789abcdef
os_release=NAME="Ubuntu"
os_release=PRETTY_NAME="Ubuntu 18.04.6 LTS"
l4t=# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref, EABI: aarch64, DATE: Sat Feb 19 17:05:08 UTC 2022
cpu.online=0-1
cpu.present=0-3
cpuinfo=processor\t: 0
cpuinfo=model name\t: ARMv8 Processor rev 1 (v8l)
cpuinfo=CPU implementer\t: 0x41
cpuinfo=CPU part\t: 0xd07
cpuinfo=processor\t: 1
cpuinfo=model name\t: ARMv8 Processor rev 1 (v8l)
cpuinfo=CPU implementer\t: 0x41
cpuinfo=CPU part\t: 0xd07
cpu.0.min=102000
cpu.0.max=1479000
cpu.0.governor=schedutil
cpu.0.related=0 1 2 3
cpu.1.min=102000
cpu.1.max=1479000
cpu.1.governor=schedutil
cpu.1.related=0 1 2 3
libc.self=GNU C Library (Ubuntu GLIBC 2.27-3ubuntu1.5) stable release version 2.27.
df.path=/home/nvidia
df=/dev/mmcblk0p1 30000000 29900000 102400 99% /
"""


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


@pytest.mark.parametrize(
    "line",
    ["cpu.present=0-99999999999", "cpu.online=0-9" + "9" * 5000, "cpu.999999999.current=1", "MemTotal=" + "9" * 9000],
)
def test_numbers_no_device_has_are_not_believed(line: str) -> None:
    """A report that names a billion CPUs builds no list of them."""
    assert parse_report(f"{line}\nmachine=aarch64\n").machine == "aarch64"
    assert parse_health(f"{line}\n")["freq_khz"] is None


def test_phone_with_three_clusters() -> None:
    report = parse_report(PHONE)
    assert report.model == "Maker Phone 5" and report.soc == "QTI SM8350"
    assert report.os == "Android 13 (API 33)" and report.is_android and report.libc is None
    assert report.cores == 8 and report.offline_cpus == (7,)
    assert report.clusters == (
        Cluster((0, 1, 2, 3), "Cortex-A55", 300000, 1804800, (1804800, 300000, None, None), "schedutil"),
        Cluster((4, 5), "Cortex-A78", 691200, 2419200, (2419200, None), "schedutil"),
        Cluster((6, 7), "Cortex-X1", 806400, 2841600, (None, None), "performance"),
    )
    assert report.temperatures_c == {"0:cpu-0-0": 41.2, "3:old-sensor": 38.0}
    assert report.battery == Battery(86, "Charging", 28.5)
    assert report.free_mib == 21000 and report.free_path == "/data/local/tmp"
    assert report.selinux == "Enforcing" and report.screen == "Awake" and report.uid == 2000
    assert report.device_id_source == "serial"
    rows = report.rows()
    assert rows["cluster 0"] == "CPUs 0-3: Cortex-A55, 300-1805 MHz, now 300-1805 MHz, governor schedutil"
    assert rows["CPUs"] == "8, of which offline: CPU 7" and rows["battery"] == "86 %, Charging, 28.5 C"
    assert "C library" not in rows and "None" not in str(rows)
    assert parse_health(PHONE)["freq_khz"] == [1804800, 300000, None, None, 2419200]


def test_jetson_with_jetpack_4() -> None:
    report = parse_report(JETPACK_4)
    assert report.os == "Ubuntu 18.04.6 LTS (L4T 32.7.1, JetPack 4)" and report.l4t == "32.7.1"
    assert report.model == "NVIDIA Jetson Nano Developer Kit" and "tegra210" in str(report.soc)
    assert report.libc == "glibc 2.27" and report.glibc_version == (2, 27)
    assert report.clusters == (Cluster((0, 1, 2, 3), "Cortex-A57", 102000, 1479000, (), "schedutil"),)
    assert report.offline_cpus == (2, 3) and report.battery is None and report.device_id_source == "machine-id"


def test_a_machine_that_shows_next_to_nothing_has_none_not_zero() -> None:
    """A container or a virtual machine: no cpufreq, no sensors; and one that hides even more."""
    report = parse_report("machine=x86_64\ncpuinfo=processor: 0\ncpuinfo=model name: Some CPU @ 2.8GHz\ncpu.0.max=0\n")
    assert report.clusters == (Cluster((0,), "Some CPU @ 2.8GHz"),) and report.cores == 1
    unknown = parse_report("")
    empty = {name: value for name, value in unknown.to_json().items() if value is not None}
    assert set(empty) == {"clusters", "device_id", "device_id_source"}
    assert unknown.rows() == {} and missing(unknown, [usable()], "d", True) == ()
    assert parse_health("stat=cpu 1 2\nloadavg=garbage\nzone.0.temp=x\ndumpsys.status=2\n") == {
        "load_1m": None, "freq_khz": None, "temperatures_c": None, "steal_ms": None,
        "memory_available_mib": None, "battery_percent": None, "battery_status": "Charging",
    }  # fmt: skip


def test_laptop_policies_that_are_alike_are_one_cluster() -> None:
    cpus = "".join(
        f"cpuinfo=processor: {cpu}\ncpuinfo=model name: Laptop CPU\ncpu.{cpu}.max=4{int(cpu > 3)}00000\n"
        f"cpu.{cpu}.min=400000\ncpu.{cpu}.governor=powersave\ncpu.{cpu}.related={cpu}\n"
        for cpu in range(6)
    )
    text = cpus + "cpu.present=0-5\nbattery.percent=9\nbattery.status=Discharging\nbattery.decidegrees=310\n"
    report = parse_report(
        text + "dmi.vendor=ACME\ndmi.product=ACME Book\nlibc.ldd=musl libc (x86_64)\nlibc.ldd2=Version 1.2.3\n"
    )
    assert [cluster.cpus for cluster in report.clusters] == [(0, 1, 2, 3), (4, 5)]
    assert report.battery == Battery(9, "Discharging", 31.0)
    assert report.model == "ACME Book" and report.libc == "musl 1.2.3" and report.glibc_version is None


@pytest.mark.parametrize(
    ("lines", "libc"),
    [
        ("libc.getconf=glibc 2.36", "glibc 2.36"),
        ("libc.ldd=ldd (Ubuntu GLIBC 2.31-0ubuntu9.9) 2.31", "glibc 2.31"),
        ("libc.self=GNU C Library (GNU libc) stable release version 2.40.", "glibc 2.40"),
        ("libc.ldd=sh: ldd: cannot execute", None),
    ],
)
def test_the_c_library_is_read_from_whoever_tells_it(lines: str, libc: str | None) -> None:
    assert parse_report(lines).libc == libc


def test_versions_and_lists_of_cpus() -> None:
    assert glibc_version("glibc 2.31") == (2, 31) and glibc_version("2.9") == (2, 9)
    assert glibc_version("musl 1.2") is None and glibc_version(None) is None
    assert cpu_list([3, 0, 1, 7]) == "CPUs 0-1,3,7" and cpu_list([4]) == "CPU 4"
    with pytest.raises(InputError, match="cores=0"):
        DeviceReport(cores=0)


def usable(**changes: object) -> DevicePython:
    values: dict[str, object] = {
        "path": "/usr/bin/python3", "version": (3, 11, 2), "numpy": "2.0", "runtimes": {"ai-edge-litert": "2.3.0"},
        "glibc": "2.36", **changes,
    }  # fmt: skip
    return DevicePython(**values)  # type: ignore[arg-type]


def bare(version: tuple[int, ...], glibc: str | None, **changes: object) -> DevicePython:
    return usable(version=version, glibc=glibc, numpy=None, runtimes={}, **changes)


def first_need(report: DeviceReport, *pythons: DevicePython) -> Need:
    return missing(report, pythons, "nano", False)[0]


def test_without_an_agent_the_next_step_is_to_deploy_it() -> None:
    need = first_need(DeviceReport(machine="x86_64"), usable())
    assert need == Need("the agent is not on this device yet", "edgewright agent deploy nano")
    assert missing(DeviceReport(machine="x86_64"), [usable()], "nano", True) == ()


def test_old_jetpack_gets_the_bundle_or_the_last_runtime_that_loads_there() -> None:
    """JetPack 5: Python 3.8 on glibc 2.31, with a LiteRT that wants 2.34."""
    failure = "ImportError: /lib/aarch64-linux-gnu/libm.so.6: version `GLIBC_2.34' not found (required by libLiteRt.so)"
    python = bare((3, 8, 10), "2.31", failures={"ai-edge-litert": failure}, versions={"ai-edge-litert": "2.3.0"})
    bundle, pip = missing(DeviceReport(machine="aarch64"), [python], "nano", False)
    assert bundle.command == "edgewright agent deploy nano"
    assert "GLIBC_2.34 not found (this device has glibc 2.31)" in bundle.what
    assert pip.command == "/usr/bin/python3 -m pip install --user tflite-runtime==2.13.0 'numpy<2'"


@pytest.mark.parametrize(
    ("machine", "python", "packages"),
    [
        ("aarch64", bare((3, 11), "2.36"), "ai-edge-litert numpy"),
        ("aarch64", bare((3, 9), "2.31"), "ai-edge-litert==2.1.0 numpy"),
        ("x86_64", bare((3, 12), "2.31"), "ai-edge-litert numpy"),
        ("x86_64", bare((3, 8), "2.31"), "tflite-runtime==2.14.0 'numpy<2'"),
        ("armv7l", bare((3, 11), "2.36"), "tflite-runtime==2.14.0 'numpy<2'"),
    ],
)
def test_the_pip_line_fits_the_python(machine: str, python: DevicePython, packages: str) -> None:
    needs = missing(DeviceReport(machine=machine), [bare((3, 7), "2.36"), python], "nano", False)
    assert needs[-1].command == f"/usr/bin/python3 -m pip install --user {packages}"


@pytest.mark.parametrize("python", [bare((3, 6, 9), "2.27"), bare((3, 11), None), bare((3, 11), "2.26")])
def test_where_no_wheel_fits_none_is_named(python: DevicePython) -> None:
    assert [need.command for need in missing(DeviceReport(machine="aarch64"), [python], "nano", False)] == [
        "edgewright agent deploy nano"
    ]
    need = first_need(DeviceReport(machine="armv7l"), python)
    assert need.command is None and "no self-contained runtime for armv7l" in need.what


def test_a_python_that_pip_may_not_touch_gets_an_environment_of_its_own() -> None:
    report = DeviceReport(machine="x86_64", home="/home/a b")
    managed = first_need(report, bare((3, 11), "2.36", environment="managed"))
    assert managed.command == (
        "/usr/bin/python3 -m venv '/home/a b/edgewright-python' && "
        "'/home/a b/edgewright-python'/bin/pip install ai-edge-litert numpy"
    )
    assert managed.what.endswith("edgewright agent deploy nano --python '/home/a b/edgewright-python'/bin/python")
    venv = first_need(report, bare((3, 11), "2.36", environment="venv"))
    assert venv.command == "/usr/bin/python3 -m pip install ai-edge-litert numpy"


def test_what_disturbs_measuring_is_named_with_its_remedy() -> None:
    needs = missing(parse_report(JETPACK_4), [usable()], "nano", True)
    space, offline, clock, hot = needs
    assert "only 100 MiB are free at /home/nvidia" in space.what and space.command == "du -sk /home/nvidia/* | sort -n"
    assert offline == Need("CPUs 2-3 are offline; this command shows the power mode", "sudo nvpmodel -q")
    assert "schedutil on CPUs 0-3" in clock.what and clock.command == "sudo jetson_clocks"
    assert "0:CPU-therm 74.5 C" in hot.what and hot.command == "edgewright device check nano"


def test_remedies_fit_the_system() -> None:
    cluster = Cluster((0, 1), None, 100, 200, (), "ondemand")
    loop = 'for g in /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor; do echo performance > "$g"; done'
    for report, command in [
        (DeviceReport(clusters=(cluster,), uid=1000), f"sudo sh -c '{loop}'"),
        (DeviceReport(clusters=(cluster,), uid=0), loop),
        (DeviceReport(clusters=(cluster,), uid=2000, android_api=33), None),
        (DeviceReport(clusters=(cluster,), uid=0, l4t="36.3"), "jetson_clocks"),
    ]:
        assert [need.command for need in missing(report, [], "d", True)] == [command]
    fixed = Cluster((0,), None, 200, 200, (), "userspace")
    assert missing(DeviceReport(clusters=(fixed,)), [], "d", True) == ()


def test_battery_and_screen() -> None:
    phone = DeviceReport(android_api=33, battery=Battery(12, "Charging"), screen="Asleep")
    low, screen = missing(phone, [], "phone", True)
    assert "12 %" in low.what and low.command is None and str(low) == low.what
    assert "svc power stayon true" in str(screen)
    (unplugged,) = missing(DeviceReport(battery=Battery(80, "Discharging")), [], "d", True)
    assert "discharging" in unplugged.what
