"""What the script prints on devices that we do not have, read."""

from __future__ import annotations

import pytest
from edgewright.devices.probe.parsing import parse_health, parse_report
from edgewright.devices.probe.report import Battery, Cluster

from tests.devices.probe.printed import JETPACK_4, PHONE


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
    assert unknown.rows() == {}
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
