"""What a device lacks, and the command that mends it."""

from __future__ import annotations

import pytest
from edgewright.devices.probe.needs import Need, missing
from edgewright.devices.probe.parsing import parse_report
from edgewright.devices.probe.pythons import DevicePython
from edgewright.devices.probe.report import Battery, Cluster, DeviceReport

from tests.devices.probe.printed import JETPACK_4


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


def test_what_is_not_known_is_no_need() -> None:
    assert missing(parse_report(""), [usable()], "d", True) == ()


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
    _, managed = missing(report, [bare((3, 11), "2.36", environment="managed")], "nano", False)
    assert managed.command == (
        "/usr/bin/python3 -m venv '/home/a b/edgewright-python' && "
        "'/home/a b/edgewright-python'/bin/pip install ai-edge-litert numpy"
    )
    assert managed.what.endswith("edgewright agent deploy nano --python '/home/a b/edgewright-python'/bin/python")
    _, venv = missing(report, [bare((3, 11), "2.36", environment="venv")], "nano", False)
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
