"""What is missing on a device or would disturb measurements on it, and the command that fixes it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..bundle.machines import BUNDLE_MACHINES
from .report import DeviceReport, cpu_list, glibc_version

if TYPE_CHECKING:
    from .pythons import DevicePython

_LOW_SPACE_MIB = 200.0
_LOW_BATTERY_PERCENT = 20
_HOT_C = 70.0
_VENV = "edgewright-python"


class Need(NamedTuple):
    """What is missing or would disturb, and the command that fixes it (None if no command can)."""

    what: str
    command: str | None

    def __str__(self) -> str:
        return self.what if self.command is None else f"{self.what}: {self.command}"


class _Wheel(NamedTuple):
    """A runtime that installs and loads on `machine` with a Python in [low, high] and at least this glibc."""

    machine: str
    low: tuple[int, int]
    high: tuple[int, int]
    glibc: tuple[int, int]
    requirement: str


# Read from the wheels themselves: their tags, and the newest GLIBC symbol their libraries ask for. Best first.
_WHEELS = (
    _Wheel("aarch64", (3, 10), (3, 14), (2, 34), "ai-edge-litert"),
    _Wheel("aarch64", (3, 9), (3, 11), (2, 30), "ai-edge-litert==2.1.0"),
    _Wheel("aarch64", (3, 8), (3, 10), (2, 27), "tflite-runtime==2.13.0"),
    _Wheel("x86_64", (3, 10), (3, 14), (2, 27), "ai-edge-litert"),
    _Wheel("x86_64", (3, 8), (3, 11), (2, 29), "tflite-runtime==2.14.0"),
    _Wheel("armv7l", (3, 11), (3, 11), (2, 34), "tflite-runtime==2.14.0"),
)


def missing(
    report: DeviceReport,
    pythons: Sequence[DevicePython],
    device_name: str,
    deployed: bool,
    serial: str | None = None,
) -> tuple[Need, ...]:
    """Obstacles to good measurements on this device, the most important first; empty if there are none.

    `serial` is the phone's, for commands that name it.
    """
    return (
        *_runtime_needs(report, pythons, deployed, device_name),
        *_space_needs(report),
        *_clock_needs(report),
        *_condition_needs(report, device_name, serial),
    )


def _install(wheel: _Wheel, python: DevicePython, venv: str) -> str:
    words = [wheel.requirement, "numpy<2" if wheel.requirement.startswith("tflite-runtime") else "numpy"]
    packages, path = shlex.join(words), shlex.quote(python.path)
    if python.environment == "managed":
        return f"{path} -m venv {venv} && {venv}/bin/pip install {packages}"
    return f"{path} -m pip install {'' if python.environment == 'venv' else '--user '}{packages}"


def _best_wheel(python: DevicePython, machine: str | None) -> _Wheel | None:
    glibc = glibc_version(python.glibc)
    for wheel in _WHEELS:
        fits = wheel.low <= python.version[:2] <= wheel.high
        if machine == wheel.machine and fits and glibc is not None and glibc >= wheel.glibc:
            return wheel
    return None


def _runtime_needs(
    report: DeviceReport, pythons: Sequence[DevicePython], deployed: bool, device_name: str
) -> list[Need]:
    if deployed:
        return []
    deploy = f"edgewright agent deploy {device_name}"
    if any(python.usable_for_agent for python in pythons):
        return [Need("the agent is not on this device yet", deploy)]
    reasons = "; ".join(f"{python.path}: {python.why_not()}" for python in pythons) or "it has none"
    what = f"no Python on this device can run the agent ({reasons})"
    install = _install_need(report, pythons, device_name)
    if report.machine in BUNDLE_MACHINES:
        bundled = Need(f"{what}; this puts a self-contained runtime there", deploy)
        return [bundled] if install is None else [bundled, Need(f"or, instead: {install.what}", install.command)]
    if install is not None:
        return [Need(f"{what}; {install.what}", install.command)]
    return [Need(f"{what}, and there is no self-contained runtime for {report.machine or 'its machine'}", None)]


def _install_need(report: DeviceReport, pythons: Sequence[DevicePython], device_name: str) -> Need | None:
    """The best wheel for the newest Python that takes it."""
    fitting = [(wheel, python) for python in pythons if (wheel := _best_wheel(python, report.machine)) is not None]
    if not fitting:
        return None
    wheel, python = min(fitting, key=lambda pair: (_WHEELS.index(pair[0]), [-number for number in pair[1].version]))
    venv = shlex.quote(f"{report.home or '.'}/{_VENV}")
    option = f" --python {venv}/bin/python" if python.environment == "managed" else ""
    then = f"edgewright agent deploy {device_name}{option}"
    what = f"run on the device, this installs a runtime that loads there; then: {then}"
    return Need(what, _install(wheel, python, venv))


def _space_needs(report: DeviceReport) -> list[Need]:
    if report.free_mib is None or report.free_path is None or report.free_mib >= _LOW_SPACE_MIB:
        return []
    return [
        Need(
            f"only {report.free_mib:.0f} MiB are free at {report.free_path}, {_LOW_SPACE_MIB:.0f} are wanted; "
            "this command shows what takes the space there",
            f"{shlex.join(['du', '-sk', report.free_path])}/* | sort -n",
        )
    ]


def _clock_needs(report: DeviceReport) -> list[Need]:
    needs = []
    if report.offline_cpus:
        what = f"{cpu_list(report.offline_cpus)} {'is' if len(report.offline_cpus) == 1 else 'are'} offline"
        command = None if report.l4t is None else "sudo nvpmodel -q"
        needs.append(Need(what + ("; this command shows the power mode" if command else ""), command))
    slow = [cluster for cluster in report.clusters if cluster.governor not in (None, "performance")]
    if slow and any(cluster.min_khz != cluster.max_khz for cluster in slow):
        names = ", ".join(f"{cluster.governor} on {cpu_list(cluster.cpus)}" for cluster in slow)
        needs.append(Need(f"the clock follows the load ({names}), so timings vary", _fix_clock(report)))
    return needs


def _fix_clock(report: DeviceReport) -> str | None:
    if report.is_android and not report.is_root:
        return None  # only root may write there, and a phone has no sudo
    if report.l4t is not None:
        return "jetson_clocks" if report.is_root else "sudo jetson_clocks"
    loop = 'for g in /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor; do echo performance > "$g"; done'
    return loop if report.is_root else f"sudo sh -c '{loop}'"


def _condition_needs(report: DeviceReport, device_name: str, serial: str | None) -> list[Need]:
    needs = []
    hot = {zone: value for zone, value in (report.temperatures_c or {}).items() if value > _HOT_C}
    if hot:
        zone = max(hot, key=lambda name: hot[name])
        what = f"it is hot ({zone} {hot[zone]:.1f} C, above {_HOT_C:.0f}) and may slow down; let it cool and look again"
        needs.append(Need(what, f"edgewright device check {device_name}"))
    battery = report.battery
    if battery is not None and battery.percent is not None and battery.percent < _LOW_BATTERY_PERCENT:
        needs.append(Need(f"the battery is at {battery.percent} %: systems save power then; charge it", None))
    elif battery is not None and battery.status is not None and battery.status.lower() in ("discharging",):
        needs.append(Need("the battery is discharging; plug the charger in for a long campaign", None))
    if report.is_android and report.screen is not None and report.screen != "Awake":
        what = f"the screen is off ({report.screen}) and phones slow down then; this keeps it on while plugged in"
        which = f"-s {shlex.quote(serial)} " if serial else ""
        needs.append(Need(what, f"adb {which}shell 'input keyevent KEYCODE_WAKEUP; svc power stayon true'"))
    return needs
