"""What an arm64 device's kernel says about its hardware, as files: cores and clusters, clocks, temperatures, battery.

The cores are as many as this machine lends the rig, so that a program pinned to one of them really runs there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cluster:
    """A group of equal cores."""

    count: int
    part: int  # of MIDR_EL1: 0xd05 Cortex-A55, 0xd41 Cortex-A78, 0xd42 Cortex-A78AE
    capacity: int
    min_khz: int
    max_khz: int


@dataclass(frozen=True)
class Hardware:
    clusters: tuple[Cluster, ...]
    governor: str
    thermal_milli_c: dict[str, int]
    cpuinfo_hardware: str = ""
    battery: bool = False


def split_cores() -> tuple[int, int]:
    """How many little and big cores a phone on this machine has; on a machine of one core there are no little ones."""
    cores = len(os.sched_getaffinity(0))
    return cores // 2, cores - cores // 2


def write_files(root: Path, hardware: Hardware) -> None:
    """Make `root`/sys and `root`/.host/cpuinfo, the latter to be mounted on /proc/cpuinfo."""
    cores = [cluster for cluster in hardware.clusters for _ in range(cluster.count)]
    _put(root / ".host/cpuinfo", _cpuinfo(cores, hardware.cpuinfo_hardware))
    cpus = root / "sys/devices/system/cpu"
    for name in ("possible", "present", "online"):
        _put(cpus / name, _span(0, len(cores)))
    _put(cpus / "kernel_max", str(len(cores) - 1))
    first = 0
    for number, cluster in enumerate(hardware.clusters):
        for core in range(first, first + cluster.count):
            _write_core(cpus, core, number, _span(first, first + cluster.count), cluster, hardware.governor)
        first += cluster.count
    for number, (kind, milli_c) in enumerate(hardware.thermal_milli_c.items()):
        zone = root / f"sys/class/thermal/thermal_zone{number}"
        _put(zone / "type", kind)
        _put(zone / "temp", str(milli_c))
    if hardware.battery:
        _write_battery(root / "sys/class/power_supply/battery")


def _write_core(cpus: Path, core: int, package: int, siblings: str, cluster: Cluster, governor: str) -> None:
    files = {
        "online": "1",
        "cpu_capacity": cluster.capacity,
        "topology/physical_package_id": package,
        "topology/cluster_id": package,
        "topology/core_id": core,
        "topology/core_siblings_list": siblings,
        "topology/package_cpus_list": siblings,
        "topology/cluster_cpus_list": siblings,
        "topology/thread_siblings_list": core,
        "regs/identification/midr_el1": f"{_midr(cluster.part):#018x}",
    }
    for name, value in files.items():
        _put(cpus / f"cpu{core}" / name, str(value))
    policy = cpus / f"cpufreq/policy{siblings.partition('-')[0]}"
    clocks = {
        "cpuinfo_min_freq": cluster.min_khz,
        "cpuinfo_max_freq": cluster.max_khz,
        "scaling_min_freq": cluster.min_khz,
        "scaling_max_freq": cluster.max_khz,
        "scaling_cur_freq": cluster.max_khz,
        "scaling_available_frequencies": f"{cluster.min_khz} {cluster.max_khz}",
        "scaling_governor": governor,
        "scaling_available_governors": f"{governor} performance powersave",
        "related_cpus": " ".join(str(number) for number in _numbers(siblings)),
    }
    for name, value in clocks.items():
        _put(policy / name, str(value))
    link = cpus / f"cpu{core}/cpufreq"
    if not link.is_symlink():
        link.symlink_to(f"../cpufreq/{policy.name}")


def _write_battery(folder: Path) -> None:
    files = {"type": "Battery", "present": 1, "status": "Discharging", "health": "Good", "capacity": 87}
    units = {"temp": 291, "voltage_now": 4135000, "current_now": -412000}  # 0.1 C, uV, uA
    for name, value in {**files, **units}.items():
        _put(folder / name, str(value))


def _midr(part: int) -> int:
    return 0x41 << 24 | 0xF << 16 | part << 4  # Arm Ltd., architecture by feature registers, revision r0p0


def _cpuinfo(cores: list[Cluster], hardware: str) -> str:
    features = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
    blocks = [
        f"processor\t: {number}\nBogoMIPS\t: 38.40\nFeatures\t: {features}\nCPU implementer\t: 0x41\n"
        f"CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: {core.part:#05x}\nCPU revision\t: 0\n"
        for number, core in enumerate(cores)
    ]
    return "\n".join(blocks) + (f"\nHardware\t: {hardware}" if hardware else "")


def _span(first: int, end: int) -> str:
    """Cores from `first` to before `end` as the kernel lists them."""
    return str(first) if end - first == 1 else f"{first}-{end - 1}"


def _numbers(span: str) -> range:
    first, _, last = span.partition("-")
    return range(int(first), int(last or first) + 1)


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")
