"""Reads what this device is (`facts`) and its current state (`health`). An unreadable value is None, never 0."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

MEASURING = 2
"""Increase it when the meaning of the agent's numbers changes: older and newer measurements then do not share a table.

2: memory excludes what the child loads for itself; sampling continues until the median is known."""

_CPUS = Path("/sys/devices/system/cpu")
_THERMAL = Path("/sys/class/thermal")
_POWER = Path("/sys/class/power_supply")
_DEVICE_TREE = Path("/sys/firmware/devicetree/base")
_TICKS_MS = 15.0  # more than one tick of 10 ms


def facts() -> dict[str, Any]:
    """Facts that stay the same while the device runs. `device_id` is a hash; it reveals no host name or serial."""
    identity, source = _identity()
    return {
        "device_id": identity,
        "device_id_source": source,
        "model": _model(),
        "soc": _android("ro.soc.model") or _text(_DEVICE_TREE / "compatible"),
        "machine": platform.machine() or None,
        "cpu_model": _cpu_model(),
        "cores": os.cpu_count(),
        "usable_cpus": sorted(os.sched_getaffinity(0)),
        "max_freq_khz": _per_cpu("cpufreq/cpuinfo_max_freq"),
        "min_freq_khz": _per_cpu("cpufreq/cpuinfo_min_freq"),
        "governor": _text(_CPUS / "cpu0/cpufreq/scaling_governor"),
        "memory_total_mib": _meminfo_mib("MemTotal"),
        "os": _os_name(),
        "kernel": platform.release() or None,
        "glibc": _glibc(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "measuring": MEASURING,
    }


def health() -> dict[str, Any]:
    """State that can disturb a measurement. `steal_ms` counts from boot: compare two readings."""
    return {
        "load_1m": _load_1m(),
        "freq_khz": _per_cpu("cpufreq/scaling_cur_freq"),
        "temperatures_c": _temperatures_c(),
        "steal_ms": _steal_ms(),
        "memory_available_mib": _meminfo_mib("MemAvailable"),
        "battery_percent": _battery("capacity"),
        "battery_status": _battery_status(),
    }


def health_marks(before: dict[str, Any], after: dict[str, Any], child_ms: float) -> list[str]:
    """What two readings of `health` show about the time between them; an unknown value adds no mark.

    "stolen": a hypervisor gave more than 5 % of the time, and more than a tick of the kernel's clock, to others.
    "throttled": the fastest CPU lost more than 10 % of its frequency.
    """
    marks = []
    if before["steal_ms"] is not None and after["steal_ms"] is not None:
        if after["steal_ms"] - before["steal_ms"] > max(0.05 * child_ms, _TICKS_MS):
            marks.append("stolen")
    fastest = [max((khz for khz in reading["freq_khz"] or [] if khz), default=None) for reading in (before, after)]
    if fastest[0] is not None and fastest[1] is not None and fastest[1] < 0.9 * fastest[0]:
        marks.append("throttled")
    return marks


def _text(path: Path) -> str | None:
    """The stripped content of a small file of the kernel; None when absent, forbidden or empty."""
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip() or None
    except OSError:
        return None


def _number(path: Path) -> int | None:
    text = _text(path)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def _per_cpu(name: str) -> list[int | None] | None:
    """One value per CPU; None when no CPU reports one, as in virtual machines."""
    values = [_number(_CPUS / f"cpu{index}" / name) for index in range(os.cpu_count() or 1)]
    return values if any(value is not None for value in values) else None


def _field(path: str, name: str) -> str | None:
    """The first `name: value` line of a /proc file."""
    for line in (_text(Path(path)) or "").splitlines():
        key, separator, value = line.partition(":")
        if separator and key.strip() == name:
            return value.strip() or None
    return None


def _meminfo_mib(name: str) -> float | None:
    value = _field("/proc/meminfo", name)
    return None if value is None else int(value.split()[0]) / 1024


def _identity() -> tuple[str, str]:
    """A stable hash of the machine's id, else of its serial number, else of its hardware; and which of them it is."""
    sources = (
        ("machine-id", _text(Path("/etc/machine-id"))),
        ("serial", _text(_DEVICE_TREE / "serial-number") or _android("ro.serialno")),
        ("hardware", f"{_model()}|{_cpu_model()}|{os.cpu_count()}|{_meminfo_mib('MemTotal')}"),
    )
    source, value = next((name, value) for name, value in sources if value)
    return hashlib.sha256(f"edgewright-device:{source}:{value}".encode()).hexdigest()[:16], source


def _model() -> str | None:
    return (
        _text(_DEVICE_TREE / "model") or _android("ro.product.model") or _text(Path("/sys/class/dmi/id/product_name"))
    )


def _cpu_model() -> str | None:
    for name in ("model name", "Hardware", "Processor"):
        value = _field("/proc/cpuinfo", name)
        if value is not None:
            return value
    implementer, part = _field("/proc/cpuinfo", "CPU implementer"), _field("/proc/cpuinfo", "CPU part")
    return None if implementer is None else f"implementer {implementer} part {part}"


def _android(name: str) -> str | None:
    """An Android system property; None on other systems."""
    if shutil.which("getprop") is None:
        return None
    try:
        answer = subprocess.run(
            ["getprop", name], stdin=subprocess.DEVNULL, capture_output=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.decode(errors="replace").strip() or None


def _os_name() -> str | None:
    for line in (_text(Path("/etc/os-release")) or "").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"') or None
    release = _android("ro.build.version.release")
    return None if release is None else f"Android {release}"


def _glibc() -> str | None:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        return None


def _load_1m() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def _temperatures_c() -> dict[str, float] | None:
    """Degrees Celsius by zone; the kernel reports thousandths."""
    readings = {}
    for zone in _entries(_THERMAL, "thermal_zone"):
        value = _number(zone / "temp")
        if value is not None:
            readings[f"{zone.name[len('thermal_zone') :]}:{_text(zone / 'type')}"] = value / 1000
    return readings or None


def _steal_ms() -> float | None:
    """Time since boot that a hypervisor gave to others while this machine had work, summed over all CPUs."""
    try:
        with open("/proc/stat", encoding="ascii") as stat:
            ticks = stat.readline().split()
    except OSError:
        return None
    return int(ticks[8]) * 1e3 / os.sysconf("SC_CLK_TCK") if len(ticks) > 8 else None


def _batteries() -> list[Path]:
    return [entry for entry in _entries(_POWER, "") if _text(entry / "type") == "Battery"]


def _battery(name: str) -> int | None:
    return next((_number(entry / name) for entry in _batteries()), None)


def _battery_status() -> str | None:
    return next((_text(entry / "status") for entry in _batteries()), None)


def _entries(folder: Path, prefix: str) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.name.startswith(prefix))
    except OSError:
        return []
