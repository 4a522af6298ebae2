"""Bounds as a user types them: plain numbers, with a hint if another unit was meant."""

from __future__ import annotations

import re

from ..costs import Budget
from ..errors import InputError

_UNITS = {
    "latency_ms": {"s": 1e3, "sec": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6},
    "memory_mib": {
        "b": 2**-20,
        "kib": 2**-10,
        "mib": 1.0,
        "gib": 2.0**10,
        "kb": 1e3 / 2**20,
        "mb": 1e6 / 2**20,
        "gb": 1e9 / 2**20,
    },
}
_UNITS["size_mib"] = _UNITS["memory_mib"]
_UNIT_NAMES = {"latency_ms": "milliseconds", "memory_mib": "MiB", "size_mib": "MiB"}


def parse_budget(latency_ms: str | None, memory_mib: str | None, size_mib: str | None) -> Budget:
    """The budget of the options of these names; None is an option that was not given.

    Raises `InputError`, with the converted number where another unit was meant.
    """
    texts = {"latency_ms": latency_ms, "memory_mib": memory_mib, "size_mib": size_mib}
    return Budget(**{name: None if text is None else _parse_bound(name, text) for name, text in texts.items()})


def _parse_bound(name: str, text: str) -> float:
    option = f"--{name.replace('_', '-')}"
    try:
        return float(text)
    except ValueError:
        number, unit = re.fullmatch(r"\s*([-+.\d]*)\s*(.*?)\s*", text, re.DOTALL).groups()  # type: ignore[union-attr]
    factor = _UNITS[name].get(unit.lower())
    sentence = f"{option} takes a plain number of {_UNIT_NAMES[name]}, got {text!r}"
    try:
        meant = None if factor is None else float(number) * factor
    except ValueError:
        meant = None
    raise InputError(f"{sentence}; did you mean {option} {meant:g}?" if meant is not None else sentence)
