"""What a device is and in which state: the result of one probe. Values that could not be read are None, never 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...errors import InputError


@dataclass(frozen=True)
class Cluster:
    """CPUs of one kind: same part, same range of frequencies, same governor. `current_khz` has one value a CPU."""

    cpus: tuple[int, ...]
    part: str | None = None
    min_khz: int | None = None
    max_khz: int | None = None
    current_khz: tuple[int | None, ...] = ()
    governor: str | None = None

    def describe(self) -> str:
        """One line, for instance `CPUs 4-7: Cortex-A78, 400-2400 MHz, now 1800 MHz, governor schedutil`."""
        words = [self.part or "part unknown"]
        if self.max_khz is not None:
            low = "?" if self.min_khz is None else f"{self.min_khz / 1000:.0f}"
            words.append(f"{low}-{self.max_khz / 1000:.0f} MHz")
        now = sorted({round(value / 1000) for value in self.current_khz if value is not None})
        if now:
            words.append(f"now {now[0]} MHz" if len(now) == 1 else f"now {now[0]}-{now[-1]} MHz")
        if self.governor is not None:
            words.append(f"governor {self.governor}")
        return f"{cpu_list(self.cpus)}: {', '.join(words)}"


@dataclass(frozen=True)
class Battery:
    percent: int | None = None
    status: str | None = None
    temperature_c: float | None = None

    def describe(self) -> str:
        words = [] if self.percent is None else [f"{self.percent} %"]
        words += [] if self.status is None else [self.status]
        words += [] if self.temperature_c is None else [f"{self.temperature_c:.1f} C"]
        return ", ".join(words) or "there is one"


@dataclass(frozen=True)
class DeviceReport:
    """The result of one probe. `device_id` is a hash, equal to the agent's, and reveals no serial number.

    `libc` is "glibc 2.31" or "musl ..."; None on Android. `free_mib` is the space at `free_path`, the agent's folder or
    its nearest parent. `temperatures_c` are degrees Celsius by zone.
    """

    model: str | None = None
    soc: str | None = None
    machine: str | None = None
    os: str | None = None
    kernel: str | None = None
    libc: str | None = None
    android_api: int | None = None
    l4t: str | None = None
    cores: int | None = None
    online_cpus: tuple[int, ...] | None = None
    cpu_model: str | None = None
    clusters: tuple[Cluster, ...] = ()
    memory_total_mib: float | None = None
    memory_available_mib: float | None = None
    load_1m: float | None = None
    temperatures_c: Mapping[str, float] | None = None
    battery: Battery | None = None
    free_mib: float | None = None
    free_path: str | None = None
    user: str | None = None
    uid: int | None = None
    home: str | None = None
    selinux: str | None = None
    screen: str | None = None
    device_id: str | None = None
    device_id_source: str | None = None

    def __post_init__(self) -> None:
        for name in ("cores", "memory_total_mib"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"`{name} > 0` must hold, but got {name}={value!r}; unknown values are None")

    @property
    def is_android(self) -> bool:
        return self.android_api is not None

    @property
    def is_root(self) -> bool:
        return self.uid == 0

    @property
    def glibc_version(self) -> tuple[int, int] | None:
        return glibc_version(self.libc)

    def rows(self) -> dict[str, str]:
        """The known facts in words, for a table; unknown ones are left out."""
        rows = {
            "model": self.model,
            "SoC": self.soc,
            "machine": self.machine,
            "system": self.os,
            "kernel": self.kernel,
            "C library": self.libc,
            "CPUs": self._cpus(),
            **{f"cluster {index}": cluster.describe() for index, cluster in enumerate(self.clusters)},
            "memory": self._memory(),
            "load": None if self.load_1m is None else f"{self.load_1m:.2f} in the last minute",
            "temperatures": ", ".join(f"{zone} {value:.1f} C" for zone, value in (self.temperatures_c or {}).items()),
            "battery": None if self.battery is None else self.battery.describe(),
            "free space": None if self.free_mib is None else f"{self.free_mib:.0f} MiB at {self.free_path}",
            "user": self._user(),
            "SELinux": self.selinux,
            "screen": self.screen,
        }
        return {name: text for name, text in rows.items() if text}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def _cpus(self) -> str | None:
        if self.cores is None:
            return None
        model = "" if self.cpu_model is None else f", {self.cpu_model}"
        off = self.offline_cpus
        return f"{self.cores}{model}" + (f", of which offline: {cpu_list(off)}" if off else "")

    @property
    def offline_cpus(self) -> tuple[int, ...]:
        if self.cores is None or self.online_cpus is None:
            return ()
        return tuple(cpu for cpu in range(self.cores) if cpu not in self.online_cpus)

    def _memory(self) -> str | None:
        if self.memory_total_mib is None:
            return None
        free = "" if self.memory_available_mib is None else f", {self.memory_available_mib:.0f} MiB available"
        return f"{self.memory_total_mib:.0f} MiB{free}"

    def _user(self) -> str | None:
        if self.uid is None:
            return self.user
        return f"{self.user or 'user'} ({self.uid}{', root' if self.is_root else ''})"


def glibc_version(text: str | None) -> tuple[int, int] | None:
    """The version in "glibc 2.31" or "2.31"; None for anything else."""
    number = (text or "").removeprefix("glibc").strip().split(".")
    if len(number) < 2 or not (number[0].isdigit() and number[1].isdigit()):
        return None
    return int(number[0]), int(number[1])


def cpu_list(cpus: Sequence[int]) -> str:
    """`CPU 7` or `CPUs 0-3,6`."""
    spans: list[list[int]] = []
    for cpu in sorted(cpus):
        if spans and spans[-1][1] == cpu - 1:
            spans[-1][1] = cpu
        else:
            spans.append([cpu, cpu])
    text = ",".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)
    return f"{'CPU' if len(cpus) == 1 else 'CPUs'} {text}"
