"""What Google's benchmark_model prints, read back: its statistics, its memory footprint, and which delegate ran.

The tool gives no single runs. Newer versions print p5, median and p95 of their runs; older ones only mean, minimum,
maximum and standard deviation. Where all runs took the same number of microseconds it says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_NUMBER = r"([-+]?[\d.]+(?:e[-+]?\d+)?)"
_FOOTPRINT = "(?:Memory footprint delta from the start of the tool|Peak memory footprint)"
_DELEGATES = {"gpu": "GPU", "nnapi": "NNAPI", "xnnpack": "XNNPACK"}
_LOAD_FAILURES = (
    "Failed to load model",
    "Failed to initialize model loader",
    "Failed to initialize the interpreter",
    "Failed to allocate tensors",
)
MEMORY_METHOD = "benchmark_model footprint (growth of peak RSS)"


@dataclass(frozen=True)
class Stats:
    """One `count=...` line, in milliseconds; None for what this version of the tool does not print."""

    count: int
    mean_ms: float
    min_ms: float
    max_ms: float
    std_ms: float
    median_ms: float | None = None
    p5_ms: float | None = None
    p95_ms: float | None = None

    @property
    def all_same(self) -> bool:
        return self.min_ms == self.max_ms

    def samples_ms(self) -> list[float]:
        """All runs where they are known to be alike; else one figure for all: the median, or the mean without one."""
        if self.all_same:
            return [self.min_ms] * self.count
        return [self.mean_ms if self.median_ms is None else self.median_ms]

    def method(self) -> str:
        """What `samples_ms` are."""
        if self.all_same:
            return f"benchmark_model, {self.count} equal runs"
        known = "mean (this version prints no median)" if self.median_ms is None else "median"
        return f"benchmark_model, {known} of {self.count} runs"


@dataclass(frozen=True)
class BenchmarkOutput:
    """The readable parts of one run. `delegation` is None where no delegate was applied explicitly."""

    started: bool
    warmup: Stats | None
    timed: Stats | None
    init_ms: float | None
    memory_mib: float | None
    peak_mib: float | None
    delegation: str | None
    complaints: tuple[str, ...]

    @property
    def child_ms(self) -> float | None:
        """From the start of loading to the end of the last run, summed from the tool's figures."""
        if self.init_ms is None or self.warmup is None or self.timed is None:
            return None
        return self.init_ms + sum(stats.count * stats.mean_ms for stats in (self.warmup, self.timed))

    def last_words(self) -> str:
        return "; ".join(self.complaints[-3:]) or "it gave no reason"

    def failure_kind(self) -> str:
        refused = any(words in line for line in self.complaints for words in _LOAD_FAILURES)
        return "load_failed" if refused else "run_failed"

    def summary(self) -> dict[str, Any]:
        """The statistics as the tool gave them, for the record."""
        timed = (
            {} if self.timed is None else {name: value for name, value in vars(self.timed).items() if value is not None}
        )
        return {**timed, "peak_mib": self.peak_mib, "delegation": self.delegation}


def parse_output(text: str) -> BenchmarkOutput:
    """Read what the tool printed on stdout and stderr together."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    stats = [found for line in lines if (found := _stats(line)) is not None]
    footprint = _number(text, rf"{_FOOTPRINT} \(MB\): init={_NUMBER} overall={_NUMBER}", 2)
    init_us = _number(text, rf"timings in us: (?:.*, )?Init: {_NUMBER}")
    return BenchmarkOutput(
        started=any(line.endswith("STARTING!") for line in lines),
        warmup=stats[0] if len(stats) > 1 else None,
        timed=stats[-1] if len(stats) > 1 else None,
        init_ms=None if init_us is None else init_us / 1e3,
        memory_mib=footprint if footprint is not None and footprint > 0 else None,
        peak_mib=_number(text, rf"Overall peak memory footprint \(MB\) via periodic monitoring: {_NUMBER}"),
        delegation=_delegation(text),
        complaints=tuple(line for line in lines if _is_complaint(line)),
    )


def check_delegate(delegate: str, text: str, output: BenchmarkOutput) -> str | None:
    """Why the figures are not those of `delegate`; None when they are.

    The tool continues without a delegate that it cannot use, and still ends with success.
    """
    if delegate == "cpu":
        helper = re.search(r"Created TensorFlow Lite XNNPACK delegate for CPU", text)
        return None if helper is None else "the tool used XNNPACK although it was told not to; measure with xnnpack"
    name = _DELEGATES[delegate]
    if output.delegation is not None and output.delegation.startswith(f"{name} "):
        return None
    said = [line for line in output.complaints if "delegate" in line.lower() or name.lower() in line.lower()]
    reason = "; ".join(said[-2:]) or "the tool says nothing about it; was it built for this system, with this delegate?"
    return f"the {name} delegate ran no part of the model, so the figures would be the CPU's: {reason}"


def _stats(line: str) -> Stats | None:
    """A statistics line; None for any other."""
    match = re.search(r"\bcount=(\d+)\b(.*)", line)
    if match is None or int(match[1]) == 0:
        return None
    values = {name: float(value) / 1e3 for name, value in re.findall(rf"(\w+)={_NUMBER}", match[2])}
    if "avg" not in values and "curr" in values:  # one run, or all of the same length
        values |= dict.fromkeys(("avg", "min", "max", "median", "p5", "p95"), values["curr"])
        values["std"] = 0.0
    try:
        return Stats(
            int(match[1]), values["avg"], values["min"], values["max"], values["std"],
            values.get("median"), values.get("p5"), values.get("p95"),
        )  # fmt: skip
    except KeyError:
        return None


def _delegation(text: str) -> str | None:
    """`GPU completely`, or `GPU partially (3 kernels)`: the last delegate that runs a part of the model."""
    applied = re.findall(
        r"(?:Explicitly applied|Applied) (\w+) delegate, and the model graph will be (completely|partially)"
        r"\s+executed (?:by|w/) the delegate(?: w/ (\d+) delegate kernels)?",
        text,
    )
    for name, how, kernels in reversed(applied):
        if how == "completely":
            return f"{name} completely"
        if kernels and int(kernels) > 0:
            return f"{name} partially ({kernels} kernels)"
    return None


def _is_complaint(line: str) -> bool:
    words = ("ERROR", "WARN", "FATAL", "Failed", "failed", "not supported", "unsupported", "Though ", "CANNOT LINK")
    return any(word in line for word in words)


def _number(text: str, pattern: str, group: int = 1) -> float | None:
    match = re.search(pattern, text)
    try:
        return None if match is None else float(match[group])
    except ValueError:
        return None
