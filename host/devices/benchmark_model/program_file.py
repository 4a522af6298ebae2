"""Checks whether a file of the user is a program, and whether the device can execute it."""

from __future__ import annotations

import struct
from pathlib import Path

from ...errors import InputError
from ..probe.report import DeviceReport

# ELF: e_machine of what a `uname -m` can execute.
_ELF_NAMES = {3: "32-bit x86", 40: "32-bit ARM", 62: "x86-64", 183: "64-bit ARM (aarch64)", 243: "RISC-V"}
_ELF_MACHINES = {
    "aarch64": {183, 40}, "arm64": {183, 40}, "armv8l": {40, 183}, "armv7l": {40}, "armv6l": {40},
    "x86_64": {62, 3}, "i686": {3}, "riscv64": {243},
}  # fmt: skip


def read_program(path: Path) -> bytes:
    """Its content. Raises `InputError` when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read the benchmark_model binary {path}: {error.strerror or error}; check the path"
        ) from error


def check_program(path: Path, content: bytes, report: DeviceReport, device_name: str) -> None:
    """Raises `InputError` if the file is not a program, or not for the device's architecture and system."""
    if content.startswith(b"#!"):
        return
    machine, loader = _elf(content)
    if machine is None:
        raise InputError(f"{path} is not a Linux or Android program (not an ELF file); supply Google's benchmark_model")
    can_run = _ELF_MACHINES.get(report.machine or "")
    if can_run is not None and machine not in can_run:
        raise InputError(
            f"{path} is built for {_ELF_NAMES.get(machine, f'ELF machine {machine}')}, device {device_name!r} is "
            f"{report.machine}; supply the benchmark_model built for it"
        )
    if loader is not None and loader.startswith("/system/") != report.is_android:
        raise InputError(
            f"{path} is built for {'Android' if not report.is_android else 'Linux'} (it needs {loader}), device "
            f"{device_name!r} runs {report.os}; supply the benchmark_model built for it"
        )


def _elf(content: bytes) -> tuple[int | None, str | None]:
    """Machine and program loader of an ELF file; (None, None) for anything else."""
    if len(content) < 64 or content[:4] != b"\x7fELF" or content[5] != 1:
        return None, None
    wide = content[4] == 2
    machine = struct.unpack_from("<H", content, 18)[0]
    table = struct.unpack_from("<Q" if wide else "<I", content, 32 if wide else 28)[0]
    entry_size, count = struct.unpack_from("<HH", content, 54 if wide else 42)
    for index in range(count):
        start = table + index * entry_size
        entry = content[start : start + (56 if wide else 32)]
        if len(entry) == (56 if wide else 32) and struct.unpack_from("<I", entry)[0] == 3:  # PT_INTERP
            offset = struct.unpack_from("<Q" if wide else "<I", entry, 8 if wide else 4)[0]
            return machine, content[offset : offset + 256].partition(b"\0")[0].decode(errors="replace")
    return machine, None
