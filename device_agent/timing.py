"""Times a model: the timing protocol, the loop that follows it, and the statistics of its samples."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, fields
from statistics import median
from typing import Any, Callable, Sequence

# Limits the raw samples of one record, so that they fit into a frame header however fast the model is.
MAX_RUNS = 20_000
_WINDOW = 4
# Calls the function it is given once and returns how many milliseconds that took.
Stopwatch = Callable[[Callable[[], Any]], float]
_SETTLED = 0.03
_WIDE = 0.05
_DRIFTING = 0.1
_NEXT_LOOK = 1.2  # check again after this factor more samples: each check sorts them all


@dataclass(frozen=True)
class TimingProtocol:
    """How long to warm up and to time: until latency is stable, then until the median is known, within limits.

    Warm-up has settled when the median of the last 4 runs is within 3 % of the median of the 4 runs before. It takes
    at least `n_warmup_min` runs unless `warmup_max_ms` ends it earlier, and always one. Timing takes at least `n_runs`
    runs and `min_time_ms`, then continues until the median's 95 % confidence interval is narrower than `ci_share` of
    the median (1: not required), for at most `ci_time_ms`. It always stops at `max_time_ms` (after at least one run) or
    at 20,000 runs. The defaults cost about 40 ms for a steady model of 0.5 ms, and 120 ms for an unsteady one.

    `affinity` pins the child to these CPUs. `timeout_s` limits the child's total time, `memory_limit_mib` the memory it
    may allocate beyond what the agent already holds.
    """

    n_warmup_min: int = 5
    warmup_max_ms: float = 250.0
    n_runs: int = 30
    min_time_ms: float = 25.0
    max_time_ms: float = 2000.0
    ci_share: float = 0.02
    ci_time_ms: float = 100.0
    threads: int = 1
    affinity: tuple[int, ...] | None = None
    timeout_s: float = 60.0
    memory_limit_mib: float = 2048.0

    def __post_init__(self) -> None:
        _check_int("n_warmup_min", self.n_warmup_min, 1, 10_000)
        _check_number("warmup_max_ms", self.warmup_max_ms, 0.0, 600_000.0)
        _check_int("n_runs", self.n_runs, 1, MAX_RUNS)
        _check_number("min_time_ms", self.min_time_ms, 0.0, 600_000.0)
        _check_number("max_time_ms", self.max_time_ms, 0.0, 600_000.0)
        _check_number("ci_share", self.ci_share, 0.0, 1.0)
        _check_number("ci_time_ms", self.ci_time_ms, 0.0, 600_000.0)
        _check_int("threads", self.threads, 1, 256)
        _check_number("timeout_s", self.timeout_s, 0.0, 3600.0)
        _check_number("memory_limit_mib", self.memory_limit_mib, 0.0, 1 << 20)
        if self.min_time_ms > self.max_time_ms:
            raise ValueError(
                "min_time_ms must not exceed max_time_ms, "
                f"got min_time_ms={self.min_time_ms} and max_time_ms={self.max_time_ms}"
            )
        if self.affinity is not None:
            _check_affinity(self.affinity)

    def to_json(self) -> dict[str, Any]:
        values = asdict(self)
        values["affinity"] = None if self.affinity is None else list(self.affinity)
        return values

    @classmethod
    def from_json(cls, values: Any) -> TimingProtocol:
        """The inverse of `to_json`; missing fields take their defaults. Raises `ValueError` on anything else."""
        if not isinstance(values, dict):
            raise ValueError(f"a timing protocol is an object, got {type(values).__name__}")
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"a timing protocol has no field {', '.join(map(repr, unknown)):.200}")
        known = dict(values)
        if isinstance(known.get("affinity"), list):
            known["affinity"] = tuple(known["affinity"])
        return cls(**known)


def _check_int(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} must be an integer in [{low}, {high}], got {name}={value!r:.100}")


def _check_number(name: str, value: Any, low: float, high: float) -> None:
    """A finite number in (low, high]; NaN fails the comparison."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low < value <= high:
        raise ValueError(f"{name} must be a number in ({low:g}, {high:g}], got {name}={value!r:.100}")


def _check_affinity(affinity: Any) -> None:
    if not isinstance(affinity, tuple) or not affinity:
        raise ValueError(f"affinity must be None or a non-empty tuple of CPU numbers, got affinity={affinity!r:.100}")
    for cpu in affinity:
        _check_int("affinity", cpu, 0, 4095)


@dataclass(frozen=True)
class Timing:
    """Raw samples of one model in run order, and whether its warm-up settled."""

    samples_ms: tuple[float, ...]
    n_warmup: int
    settled: bool

    def to_json(self) -> dict[str, Any]:
        centre = median(self.samples_ms)
        low, high = median_interval(self.samples_ms)
        return {
            "samples_ms": list(self.samples_ms),
            "median_ms": centre,
            "mad_ms": median(abs(sample - centre) for sample in self.samples_ms),
            "p90_ms": percentile(self.samples_ms, 0.9),
            "n_warmup": self.n_warmup,
            "ci_low_ms": low,
            "ci_high_ms": high,
            "settled": self.settled,
        }

    def marks(self, ci_share: float) -> list[str]:
        """What is wrong with the samples; an empty list if nothing is.

        "unsettled": latency was not stable when warm-up ended. "wide": the median's interval exceeds 5 % of the median
        and `ci_share`. "drifting": the medians of the first and last third differ by more than 10 %.
        """
        marks = [] if self.settled else ["unsettled"]
        centre, third = median(self.samples_ms), len(self.samples_ms) // 3
        if not _is_known(self.samples_ms, max(_WIDE, ci_share)):
            marks.append("wide")
        if third >= _WINDOW:
            drift = median(self.samples_ms[-third:]) - median(self.samples_ms[:third])
            if abs(drift) > _DRIFTING * centre:
                marks.append("drifting")
        return marks


def median_interval(samples: Sequence[float]) -> tuple[float, float]:
    """The bounds of the median's 95 % confidence interval, for any distribution.

    They are the order statistics at n / 2 -+ 0.98 sqrt(n), from the normal approximation of the binomial. With fewer
    than six samples, which are too few, they are the whole range.
    """
    ordered, n = sorted(samples), len(samples)
    reach = 0.98 * n**0.5
    low, high = int(n / 2 - reach), int(n / 2 + reach) + 1
    return ordered[max(0, low)], ordered[min(n - 1, high)]


def _is_known(samples: Sequence[float], ci_share: float) -> bool:
    """Whether the median's interval is narrow enough; with a share of 1 it always is."""
    low, high = median_interval(samples)
    return ci_share >= 1 or high - low <= ci_share * median(samples)


def percentile(samples: Sequence[float], share: float) -> float:
    """Linear interpolation between order statistics, as `numpy.percentile` does it."""
    ordered = sorted(samples)
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def time_runs(
    run: Callable[[], Any],
    protocol: TimingProtocol,
    clock_ns: Callable[[], int] = time.perf_counter_ns,
    stopwatch: Stopwatch | None = None,
) -> Timing:
    """Warm `run` up and time it as `protocol` says.

    `clock_ns` is monotonic; it limits the total time, and times each run unless there is a `stopwatch`.
    """
    run_ms = _wall_clock(clock_ns) if stopwatch is None else stopwatch
    warmup, settled = _warm_up(lambda: run_ms(run), protocol, clock_ns)
    samples = _timed(lambda: run_ms(run), protocol, clock_ns)
    return Timing(tuple(samples), len(warmup), settled)


def _wall_clock(clock_ns: Callable[[], int]) -> Stopwatch:
    def run_ms(run: Callable[[], Any]) -> float:
        start = clock_ns()
        run()
        return (clock_ns() - start) / 1e6

    return run_ms


def _warm_up(
    run_ms: Callable[[], float], protocol: TimingProtocol, clock_ns: Callable[[], int]
) -> tuple[list[float], bool]:
    start = clock_ns()
    times = [run_ms()]
    while (clock_ns() - start) / 1e6 < protocol.warmup_max_ms and len(times) < MAX_RUNS:
        if len(times) >= protocol.n_warmup_min and _has_settled(times):
            return times, True
        times.append(run_ms())
    return times, _has_settled(times)


def _has_settled(times: list[float]) -> bool:
    if len(times) < 2 * _WINDOW:
        return False
    last, before = median(times[-_WINDOW:]), median(times[-2 * _WINDOW : -_WINDOW])
    return abs(last - before) <= _SETTLED * before


def _timed(run_ms: Callable[[], float], protocol: TimingProtocol, clock_ns: Callable[[], int]) -> list[float]:
    samples: list[float] = []
    start = clock_ns()
    look_at = protocol.n_runs
    while True:
        samples.append(run_ms())
        elapsed_ms = (clock_ns() - start) / 1e6
        if elapsed_ms >= protocol.max_time_ms or len(samples) == MAX_RUNS:
            return samples
        if len(samples) < protocol.n_runs or elapsed_ms < protocol.min_time_ms:
            continue
        if elapsed_ms >= protocol.ci_time_ms:
            return samples
        if len(samples) >= look_at:
            if _is_known(samples, protocol.ci_share):
                return samples
            look_at = int(_NEXT_LOOK * len(samples)) + 1
