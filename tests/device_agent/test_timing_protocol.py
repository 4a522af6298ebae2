from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np
import pytest
from edgewright.device_agent.facts import health_marks
from edgewright.device_agent.timing import MAX_RUNS, Timing, TimingProtocol, median_interval, percentile, time_runs


class FakeTime:
    """A clock that only the runs move; the runs take the given milliseconds, the last one for ever after."""

    def __init__(self, *times_ms: float) -> None:
        self.now_ns = 0
        self.runs = 0
        self._times = self._forever(times_ms)

    @staticmethod
    def _forever(times_ms: tuple[float, ...]) -> Iterator[float]:
        yield from times_ms
        while True:
            yield times_ms[-1]

    def run(self) -> None:
        self.runs += 1
        self.now_ns += int(next(self._times) * 1e6)

    def clock_ns(self) -> int:
        return self.now_ns

    def timed(self, protocol: TimingProtocol) -> Timing:
        return time_runs(self.run, protocol, self.clock_ns)


def test_a_steady_model_gets_the_fewest_runs() -> None:
    timing = FakeTime(1.0).timed(TimingProtocol(n_warmup_min=5, n_runs=30, min_time_ms=10))
    assert timing.settled and timing.n_warmup == 8  # two windows of four
    assert timing.samples_ms == (1.0,) * 30


def test_warm_up_goes_on_until_times_settle() -> None:
    falling = [20 * 0.8**run for run in range(40)]
    timing = FakeTime(*falling, 0.002).timed(TimingProtocol(warmup_max_ms=10_000, n_runs=3, min_time_ms=0.001))
    assert timing.settled and timing.n_warmup > 40


def test_warm_up_is_bounded_and_says_that_it_never_settled() -> None:
    rising = [1.1**run for run in range(200)]
    timing = FakeTime(*rising).timed(TimingProtocol(warmup_max_ms=100, n_runs=3, min_time_ms=0.001))
    assert not timing.settled and timing.n_warmup < 40


def test_more_runs_until_the_minimum_time() -> None:
    assert len(FakeTime(0.5).timed(TimingProtocol(n_runs=10, min_time_ms=40)).samples_ms) == 80


def test_fewer_runs_at_the_maximum_time_but_one_always() -> None:
    protocol = TimingProtocol(n_runs=100, min_time_ms=10, max_time_ms=200, warmup_max_ms=50)
    assert len(FakeTime(60.0).timed(protocol).samples_ms) == 4
    very_slow = FakeTime(5000.0)
    timing = very_slow.timed(protocol)
    assert timing.samples_ms == (5000.0,) and timing.n_warmup == 1 and very_slow.runs == 2


def test_samples_are_capped() -> None:
    protocol = TimingProtocol(min_time_ms=600_000, max_time_ms=600_000)
    assert len(FakeTime(0.001).timed(protocol).samples_ms) == MAX_RUNS


def test_figures_drawn_from_the_samples() -> None:
    samples = (3.0, 1.0, 2.0, 10.0, 2.5)
    figures = Timing(samples, 7, True).to_json()
    assert figures["median_ms"] == 2.5
    assert figures["mad_ms"] == 0.5
    assert figures["p90_ms"] == pytest.approx(np.percentile(samples, 90))
    assert figures["samples_ms"] == list(samples) and figures["n_warmup"] == 7
    assert percentile((4.0,), 0.9) == 4.0


def test_json_round_trip_and_defaults() -> None:
    protocol = TimingProtocol(n_runs=7, affinity=(0, 1), timeout_s=1.5)
    assert TimingProtocol.from_json(protocol.to_json()) == protocol
    assert TimingProtocol.from_json({}) == TimingProtocol()
    assert set(protocol.to_json()) == {field.name for field in fields(TimingProtocol)}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"n_runs": 0}, "n_runs=0"),
        ({"n_runs": 2.5}, "n_runs=2.5"),
        ({"n_runs": True}, "n_runs=True"),
        ({"timeout_s": float("nan")}, "timeout_s=nan"),
        ({"timeout_s": -1}, "timeout_s=-1"),
        ({"timeout_s": "60"}, "timeout_s='60'"),
        ({"threads": 0}, "threads=0"),
        ({"memory_limit_mib": 0}, "memory_limit_mib=0"),
        ({"affinity": ()}, "affinity"),
        ({"affinity": (0, -1)}, "-1"),
        ({"min_time_ms": 50, "max_time_ms": 10}, "min_time_ms=50 and max_time_ms=10"),
    ],
)
def test_bad_values_are_shown(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        TimingProtocol(**values)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        TimingProtocol.from_json(values)


@pytest.mark.parametrize("values", [None, [], "x", {"n_rums": 3}])
def test_from_json_refuses_anything_else(values: object) -> None:
    with pytest.raises(ValueError):
        TimingProtocol.from_json(values)


def test_unsteady_runs_are_sampled_until_the_median_is_known_or_the_time_is_up() -> None:
    protocol = TimingProtocol(n_runs=30, min_time_ms=25, warmup_max_ms=20, ci_share=0.02, ci_time_ms=400)
    rng = np.random.default_rng(0)
    noisy = FakeTime(*(1 + 0.1 * rng.random(5000)))
    samples = noisy.timed(protocol).samples_ms
    low, high = median_interval(samples)
    assert 30 < len(samples) < 350 and high - low <= 0.02 * np.median(samples)
    hopeless = FakeTime(*np.exp(2 * rng.standard_normal(5000))).timed(protocol)
    assert sum(hopeless.samples_ms) >= 400 > sum(hopeless.samples_ms[:-1])
    assert len(FakeTime(*(1 + rng.random(500))).timed(replace(protocol, ci_share=1.0)).samples_ms) == 30


@pytest.mark.parametrize("n", [12, 30, 101, 400])
def test_the_interval_holds_the_median_as_often_as_it_says(n: int) -> None:
    rng = np.random.default_rng(n)
    held = 0
    for _ in range(1000):
        low, high = median_interval(rng.lognormal(0.0, 1.0, n).tolist())  # its median is 1, its tail is long
        held += low <= 1.0 <= high
    assert 0.93 < held / 1000 < 0.99


def test_the_interval_of_few_samples_is_their_range() -> None:
    assert median_interval((3.0,)) == (3.0, 3.0) and median_interval((2.0, 1.0, 4.0)) == (1.0, 4.0)


@pytest.mark.parametrize(
    ("samples", "settled", "ci_share", "marks"),
    [
        ([1.0] * 30, True, 0.02, []),
        ([1.0] * 30, False, 0.02, ["unsettled"]),
        ([1.0, 1.4] * 15, True, 0.02, ["wide"]),
        ([1.0, 1.4] * 15, True, 1.0, []),  # nobody asked for a narrow interval
        ([1.0] * 40 + [1.2] * 15, True, 0.02, ["drifting"]),
        ([1.0, 9.0], True, 1.0, []),  # too few to tell a drift
    ],
)
def test_marks_say_what_is_wrong_with_the_samples(
    samples: list[float], settled: bool, ci_share: float, marks: list[str]
) -> None:
    assert Timing(tuple(samples), 8, settled).marks(ci_share) == marks


def test_health_tells_of_stolen_time_and_throttling() -> None:
    calm = {"steal_ms": 100.0, "freq_khz": [1_000_000, 2_000_000]}
    assert health_marks(calm, {**calm, "steal_ms": 110.0}, 40.0) == []  # a single tick of the clock
    assert health_marks(calm, {**calm, "steal_ms": 130.0}, 40.0) == ["stolen"]
    assert health_marks(calm, {**calm, "steal_ms": 130.0}, 1000.0) == []
    assert health_marks(calm, {**calm, "freq_khz": [2_000_000, 800_000]}, 40.0) == []  # another core is the fastest
    assert health_marks(calm, {**calm, "freq_khz": [1_000_000, 1_500_000]}, 40.0) == ["throttled"]
    unknown = {"steal_ms": None, "freq_khz": None}
    assert health_marks(unknown, calm, 40.0) == health_marks(calm, unknown, 40.0) == []
