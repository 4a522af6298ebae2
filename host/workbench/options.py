"""The options of a campaign, how a single model is run, and which program measures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from edgewright.device_agent.timing import TimingProtocol

    from ..profiling.plan import PlanOptions

DELEGATES = ("cpu", "xnnpack", "gpu", "nnapi")


@dataclass(frozen=True)
class CampaignOptions:
    """How many random subnets are measured, which, and how.

    `repeat_share` of the subnets are measured twice, which shows the noise. `resume` continues the newest campaign.
    A lost device is retried for `patience_s`. `sentinel_every` is the number of records between two sentinels; None: as
    the drift in the device's last campaign asks for. `timeout_s` bounds each measurement.
    """

    subnets: int = 200
    seed: int = 0
    threads: int = 1
    resume: bool = False
    patience_s: float = 120.0
    sentinel_every: int | None = None
    repeat_share: float = 0.1
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        if self.sentinel_every is not None and self.sentinel_every < 1:
            raise InputError(f"`sentinel_every` must be at least 1 record; got {self.sentinel_every}")
        if not (math.isfinite(self.patience_s) and self.patience_s >= 0):
            raise InputError(f"`patience_s` must be a number of seconds, 0 or more; got {self.patience_s}")

    def plan(self, fleet: tuple[str, ...] = (), share: int = 0) -> PlanOptions:
        """What the subnets are drawn by. Raises `InputError` for numbers that give no plan."""
        from ..profiling.plan import PlanOptions

        every = self.sentinel_every or PlanOptions.sentinel_every
        return PlanOptions(
            self.subnets, seed=self.seed, sentinel_every=every, repeat_share=self.repeat_share, fleet=fleet,
            share=share,
        )  # fmt: skip

    def protocol(self) -> TimingProtocol:
        from edgewright.device_agent.timing import TimingProtocol

        try:
            return TimingProtocol(threads=self.threads, timeout_s=self.timeout_s)
        except ValueError as error:
            raise InputError(str(error)) from error


@dataclass(frozen=True)
class ModelCall:
    """How a model is run when it is measured: the `signature` (None: its first), the shapes of inputs by name (None: as
    declared), and whether single operators are timed, too."""

    threads: int = 1
    signature: str | None = None
    shapes: Mapping[str, Sequence[int]] | None = None
    per_op: bool = False

    def __post_init__(self) -> None:
        for name, shape in (self.shapes or {}).items():
            if len(shape) > 8 or not all(isinstance(size, int) and 0 < size <= 2**30 for size in shape):
                raise InputError(f"input {name!r} needs at most 8 sizes, whole numbers above 0; got {list(shape)}")
        self.protocol()

    def protocol(self) -> TimingProtocol:
        """A single model is measured longer than a subnet of a campaign."""
        from edgewright.device_agent.timing import TimingProtocol

        try:
            return TimingProtocol(n_runs=100, min_time_ms=250.0, threads=self.threads)
        except ValueError as error:
            raise InputError(str(error)) from error


@dataclass(frozen=True)
class BenchmarkModel:
    """Google's benchmark_model instead of the agent: the user's binary, and the delegate that computes."""

    binary: Path
    delegate: str = "xnnpack"

    def __post_init__(self) -> None:
        if self.delegate not in DELEGATES:
            raise InputError(f"a delegate is one of {', '.join(DELEGATES)}; got {self.delegate!r}")
        if not self.binary.is_file():
            raise InputError(f"there is no benchmark_model at {self.binary}; name the file built for the device")
