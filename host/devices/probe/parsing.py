"""Reads what the scripts of `script.py` print. A line that makes no sense counts as missing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .report import Battery, Cluster, DeviceReport

_CPU_PARTS = {
    (0x41, 0xC07): "Cortex-A7", (0x41, 0xC08): "Cortex-A8", (0x41, 0xC09): "Cortex-A9",
    (0x41, 0xC0F): "Cortex-A15", (0x41, 0xD03): "Cortex-A53", (0x41, 0xD04): "Cortex-A35",
    (0x41, 0xD05): "Cortex-A55", (0x41, 0xD07): "Cortex-A57", (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD09): "Cortex-A73", (0x41, 0xD0A): "Cortex-A75", (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse-N1", (0x41, 0xD0D): "Cortex-A77", (0x41, 0xD40): "Neoverse-V1",
    (0x41, 0xD41): "Cortex-A78", (0x41, 0xD42): "Cortex-A78AE", (0x41, 0xD44): "Cortex-X1",
    (0x41, 0xD46): "Cortex-A510", (0x41, 0xD47): "Cortex-A710", (0x41, 0xD48): "Cortex-X2",
    (0x41, 0xD49): "Neoverse-N2", (0x41, 0xD4B): "Cortex-A78C", (0x41, 0xD4C): "Cortex-X1C",
    (0x41, 0xD4D): "Cortex-A715", (0x41, 0xD4E): "Cortex-X3", (0x41, 0xD4F): "Neoverse-V2",
    (0x41, 0xD80): "Cortex-A520", (0x41, 0xD81): "Cortex-A720", (0x41, 0xD82): "Cortex-X4",
    (0x4E, 0x003): "Denver 2", (0x4E, 0x004): "Carmel", (0x51, 0x800): "Kryo 2xx Gold",
    (0x51, 0x801): "Kryo 2xx Silver", (0x51, 0x802): "Kryo 3xx Gold", (0x51, 0x803): "Kryo 3xx Silver",
    (0x51, 0x804): "Kryo 4xx Gold", (0x51, 0x805): "Kryo 4xx Silver",
}  # fmt: skip
_JETPACKS = {"32": "4", "34": "5", "35": "5", "36": "6"}
_BATTERY_STATUS = {"1": "Unknown", "2": "Charging", "3": "Discharging", "4": "Not charging", "5": "Full"}
_TICKS_PER_S = 100  # what the kernel's ABI counts /proc/stat in

Values = Mapping[str, list[str]]


def values_of(text: str) -> dict[str, list[str]]:
    """The values of each key in `key=value` lines, in order, blank ones left out."""
    values: dict[str, list[str]] = {}
    for line in text.split("\n"):
        key, separator, value = line.partition("=")
        if separator and value.strip():
            values.setdefault(key.strip(), []).append(value.strip())
    return values


def parse_report(text: str) -> DeviceReport:
    """The report in what the probe printed."""
    values = values_of(text)
    processors = _processors(values.get("cpuinfo", ()))
    present, online = _cpu_set(_first(values, "cpu.present")), _cpu_set(_first(values, "cpu.online"))
    cpus = present or tuple(sorted(processors))
    health = parse_health(text)
    model, cpu_model = _model(values), _cpu_model(values.get("cpuinfo", ()))
    total = _mib(values, "MemTotal")
    device_id, source = _identity(values, cpu_model, len(online or cpus))
    return DeviceReport(
        model=model,
        soc=_soc(values),
        machine=_first(values, "machine"),
        os=_os(values),
        kernel=_first(values, "kernel"),
        libc=_libc(values),
        android_api=_int(_first(values, "ro.build.version.sdk")),
        l4t=_l4t(values),
        cores=len(cpus) or None,
        online_cpus=online,
        cpu_model=cpu_model,
        clusters=_clusters(values, cpus, processors),
        memory_total_mib=total,
        memory_available_mib=health["memory_available_mib"],
        load_1m=health["load_1m"],
        temperatures_c=health["temperatures_c"],
        battery=_battery(values),
        free_mib=_free_mib(values.get("df", ())),
        free_path=_first(values, "df.path"),
        user=_first(values, "user"),
        uid=_int(_first(values, "uid")),
        home=_first(values, "home"),
        selinux=_selinux(values),
        screen=_first(values, "screen"),
        device_id=device_id,
        device_id_source=source,
    )


def parse_health(text: str) -> dict[str, Any]:
    """The agent's `health` keys from what the script printed."""
    values = values_of(text)
    battery = _battery(values)
    stat = (_first(values, "stat") or "").split()
    load = _float((_first(values, "loadavg") or "").split(" ")[0])
    current = _per_cpu(values, "current")
    steal = _int(stat[8]) if len(stat) > 8 else None
    return {
        "load_1m": load,
        "freq_khz": [current.get(cpu) for cpu in range(max(current) + 1)] if current else None,
        "temperatures_c": _temperatures(values),
        "steal_ms": None if steal is None else steal * 1e3 / _TICKS_PER_S,
        "memory_available_mib": _mib(values, "MemAvailable"),
        "battery_percent": None if battery is None else battery.percent,
        "battery_status": None if battery is None else battery.status,
    }


def _first(values: Values, *keys: str) -> str | None:
    return next((values[key][0] for key in keys if values.get(key)), None)


def _int(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"-?\d{1,18}", text) else None


def _float(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else None


def _mib(values: Values, key: str) -> float | None:
    kib = _int((_first(values, key) or "").split(" ")[0])
    return None if not kib else kib / 1024


def _cpu_set(text: str | None) -> tuple[int, ...] | None:
    """CPU numbers of `0-3,6` or `0 1 2`; None when it is neither."""
    if text is None or not re.fullmatch(r"\d{1,4}(-\d{1,4})?([ ,]\d{1,4}(-\d{1,4})?)*", text):
        return None
    cpus: set[int] = set()
    for span in re.split("[ ,]", text):
        low, _, high = span.partition("-")
        cpus |= set(range(int(low), int(high or low) + 1))
    return tuple(sorted(cpus))


def _per_cpu(values: Values, name: str) -> dict[int, int]:
    found = {}
    for key in values:
        match = re.fullmatch(rf"cpu\.(\d{{1,4}})\.{name}", key)
        number = _int(values[key][0]) if match else None
        if match and number:
            found[int(match[1])] = number
    return found


def _processors(lines: Sequence[str]) -> dict[int, str | None]:
    """The part of each CPU that /proc/cpuinfo lists; None where it does not say."""
    parts: dict[int, str | None] = {}
    current, implementer = None, None
    for line in lines:
        key, _, value = (word.strip() for word in line.partition(":"))
        if key == "processor" and re.fullmatch(r"\d{1,4}", value):
            current = int(value)
            parts[current] = None
        elif key == "CPU implementer":
            implementer = value
        elif key == "CPU part" and current is not None:
            parts[current] = _part(implementer, value)
        elif (
            key == "model name" and current is not None and "rev" not in value
        ):  # ARM says "ARMv7 Processor rev 4" there
            parts[current] = value
    return parts


def _part(implementer: str | None, part: str) -> str:
    try:
        known = _CPU_PARTS.get((int(implementer or "", 16), int(part, 16)))
    except ValueError:
        known = None
    return known or f"implementer {implementer} part {part}"


def _clusters(values: Values, cpus: Sequence[int], processors: Mapping[int, str | None]) -> tuple[Cluster, ...]:
    """CPUs of one policy share everything; policies alike in part, range and governor are one cluster."""
    low, high, current = (_per_cpu(values, name) for name in ("min", "max", "current"))
    groups: dict[tuple[Any, ...], list[int]] = {}
    for cpu in cpus:
        of = _leader(values, cpu, high)
        part = processors.get(cpu) or processors.get(of)
        kind = (part, low.get(of), high.get(of), _first(values, f"cpu.{of}.governor"))
        groups.setdefault(kind, []).append(cpu)
    return tuple(
        Cluster(tuple(members), part, least, most, _each(current, members), governor)
        for (part, least, most, governor), members in sorted(groups.items(), key=lambda group: group[1])
    )


def _each(known: Mapping[int, int], cpus: Sequence[int]) -> tuple[int | None, ...]:
    return tuple(known.get(cpu) for cpu in cpus) if known else ()


def _leader(values: Values, cpu: int, known: Mapping[int, int]) -> int:
    """The CPU that speaks for `cpu`: itself, or, where it is offline, one of its policy that is not."""
    if cpu in known:
        return cpu
    for other in known:
        if cpu in (_cpu_set(_first(values, f"cpu.{other}.related")) or ()):
            return other
    return cpu


def _model(values: Values) -> str | None:
    android = _joined(_first(values, "ro.product.manufacturer"), _first(values, "ro.product.model"))
    dmi = _joined(_first(values, "dmi.vendor"), _first(values, "dmi.product"))
    return android or _first(values, "dt.model") or dmi


def _joined(maker: str | None, name: str | None) -> str | None:
    if maker is None or name is None or name.lower().startswith(maker.lower()):
        return name or maker
    return f"{maker} {name}"


def _soc(values: Values) -> str | None:
    named = _joined(_first(values, "ro.soc.manufacturer"), _first(values, "ro.soc.model"))
    return named or _first(values, "ro.board.platform", "dt.compatible")


def _cpu_model(lines: Sequence[str]) -> str | None:
    for wanted in ("model name", "Hardware", "Processor"):
        for line in lines:
            key, _, value = line.partition(":")
            if key.strip() == wanted and value.strip():
                return value.strip()
    return None


def _os(values: Values) -> str | None:
    api = _first(values, "ro.build.version.sdk")
    if api is not None:
        return f"Android {_first(values, 'ro.build.version.release') or '?'} (API {api})"
    pretty = next((line for line in values.get("os_release", ()) if line.startswith("PRETTY_NAME=")), "")
    name = pretty.partition("=")[2].strip("\"'") or None
    l4t = _l4t(values)
    if l4t is None:
        return name
    jetpack = _JETPACKS.get(l4t.split(".")[0])
    return f"{name or 'Linux'} (L4T {l4t}{f', JetPack {jetpack}' if jetpack else ''})"


def _l4t(values: Values) -> str | None:
    match = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", _first(values, "l4t") or "")
    return f"{match[1]}.{match[2]}" if match else None


def _libc(values: Values) -> str | None:
    """glibc as getconf tells it, else as ldd or the library itself do."""
    if "ro.build.version.sdk" in values:
        return None
    texts = [_first(values, key) or "" for key in ("libc.getconf", "libc.ldd", "libc.self")]
    if "musl" in texts[1]:
        version = re.search(r"\d+\.\d+(\.\d+)?", _first(values, "libc.ldd2") or "")
        return f"musl {version[0]}" if version else "musl"
    for text, pattern in zip(texts, (r"glibc (2\.\d+)", r"(2\.\d+)\s*$", r"release version (2\.\d+)"), strict=True):
        match = re.search(pattern, text)
        if match:
            return f"glibc {match[1]}"
    return None


def _temperatures(values: Values) -> dict[str, float] | None:
    """Degrees by zone, named as the agent names them; what no running device can have is left out."""
    zones = {}
    for key in values:
        match = re.fullmatch(r"zone\.(\d+)\.temp", key)
        degrees = _degrees(_int(values[key][0])) if match else None
        if match and degrees is not None:
            zones[f"{match[1]}:{_first(values, f'zone.{match[1]}.type')}"] = degrees
    return zones or None


def _degrees(raw: int | None) -> float | None:
    """Thousandths of a degree; some old kernels give whole degrees. A disabled sensor reads 0, -40 or far less."""
    if raw is None:
        return None
    degrees = float(raw) if 10 <= raw <= 150 else raw / 1000
    return degrees if -40 < degrees <= 150 and abs(degrees) >= 1 else None


def _battery(values: Values) -> Battery | None:
    level, scale = _int(_first(values, "dumpsys.level")), _int(_first(values, "dumpsys.scale")) or 100
    percent = _int(_first(values, "battery.percent"))
    if percent is None and level is not None:
        percent = round(100 * level / scale)
    status = _first(values, "battery.status") or _BATTERY_STATUS.get(_first(values, "dumpsys.status") or "")
    tenths = _int(_first(values, "battery.decidegrees", "dumpsys.temperature"))
    if percent is None and status is None:
        return None
    return Battery(percent, status, None if not tenths else tenths / 10)


def _free_mib(lines: Sequence[str]) -> float | None:
    """The available 1024-byte blocks in the last line of `df -kP`."""
    words = lines[-1].split() if lines else []
    blocks = _int(words[3]) if len(words) >= 6 else None
    return None if blocks is None else blocks / 1024


def _selinux(values: Values) -> str | None:
    return _first(values, "selinux") or {"1": "Enforcing", "0": "Permissive"}.get(
        _first(values, "selinux.enforce") or ""
    )


def _identity(values: Values, cpu_model: str | None, cpu_count: int) -> tuple[str, str]:
    """The hash the agent makes of the machine's own id, of its serial, or of what it is made of."""
    model = _first(values, "dt.model", "ro.product.model", "dmi.product")
    sources = (
        ("machine-id", _first(values, "machine_id")),
        ("serial", _first(values, "dt.serial", "ro.serialno")),
        ("hardware", f"{model}|{cpu_model}|{cpu_count}|{_mib(values, 'MemTotal')}"),
    )
    source, value = next((name, text) for name, text in sources if text)
    return hashlib.sha256(f"edgewright-device:{source}:{value}".encode()).hexdigest()[:16], source
