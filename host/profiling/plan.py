"""Which architectures a campaign measures, and in which order. The same options always give the same plan."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Generic

import numpy as np
from edgewright.device_agent.timing import TimingProtocol

from ..errors import InputError
from ..spaces.base import A, CampaignSpace, Drawing
from .records import Kind

_MIN_REPEATS = 10


@dataclass(frozen=True)
class PlanOptions:
    """What a plan is drawn from.

    `n_subnets` different architectures, the cheapest and the most expensive among them; `repeat_share` of them (at
    least 10, or all) measured a second time later on; the sentinel before the first, after the last and every
    `sentinel_every` records. `spread` and `extremes` are `Drawing`'s: how far a subnet's sites stray from its ratio,
    and whether each site is once at its narrowest and once at its full width.

    A campaign spread over identical devices names them all in `fleet`; the plan of the one at `share` holds every
    n-th of the architectures, each with its repeat, between sentinels of its own.
    """

    n_subnets: int
    seed: int = 0
    sentinel_every: int = 20
    repeat_share: float = 0.1
    spread: float = 2.0
    extremes: bool = True
    fleet: tuple[str, ...] = ()
    share: int = 0

    def __post_init__(self) -> None:
        if self.n_subnets < 2:
            raise InputError(f"a campaign needs at least 2 subnets (the smallest and the full), got {self.n_subnets}")
        if self.seed < 0:
            raise InputError(f"`seed >= 0` must hold, but got seed={self.seed}")
        if self.sentinel_every < 1:
            raise InputError(f"`sentinel_every >= 1` must hold, but got sentinel_every={self.sentinel_every}")
        if not 0 <= self.repeat_share <= 1:
            raise InputError(f"`0 <= repeat_share <= 1` must hold, but got repeat_share={self.repeat_share}")
        if not (math.isfinite(self.spread) and self.spread >= 0):
            raise InputError(f"`spread >= 0` must hold, but got spread={self.spread}")
        if not 0 <= self.share < max(1, len(self.fleet)) or len(set(self.fleet)) != len(self.fleet):
            raise InputError(f"`share` must be an index of `fleet`, but got share={self.share} and fleet={self.fleet}")

    @property
    def drawing(self) -> Drawing:
        return Drawing(self.spread, self.extremes)

    @property
    def n_repeats(self) -> int:
        """How many architectures are measured twice; a share of 0 means none."""
        if self.repeat_share == 0:
            return 0
        return min(self.n_subnets, max(_MIN_REPEATS, round(self.repeat_share * self.n_subnets)))

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "fleet": list(self.fleet)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PlanOptions:
        # Plans from before there were extremes can still be drawn again.
        return cls(**{"extremes": False, **data, "fleet": tuple(data.get("fleet", ()))})


@dataclass(frozen=True)
class PlanItem(Generic[A]):
    position: int
    kind: Kind
    architecture: A


@dataclass(frozen=True)
class CampaignPlan(Generic[A]):
    """The items in the order they are measured."""

    options: PlanOptions
    items: tuple[PlanItem[A], ...]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[PlanItem[A]]:
        return iter(self.items)

    @cached_property
    def digest(self) -> str:
        text = json.dumps([[item.kind, item.architecture.digest] for item in self.items], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Campaign:
    """One plan on one device under one protocol.

    `source` identifies the origin of its models: a template's sha256, or the digest of the code that builds each model.
    `n_planned` counts its positions, repeats and sentinels included.
    """

    id: int
    device: str
    space_digest: str
    source: str
    protocol: TimingProtocol
    options: PlanOptions
    plan_digest: str
    n_planned: int
    created_at: str


def make_plan(space: CampaignSpace[A], options: PlanOptions) -> CampaignPlan[A]:
    """Draw a campaign's architectures and their order.

    Raises:
        InputError: the space has too few different architectures for so many.
    """
    _check_room(space, options.n_subnets)
    rng = np.random.default_rng(options.seed)
    drawn = space.draw(options.n_subnets, options.drawing, rng)
    order = _share_of(_with_repeats(drawn, options.n_repeats, rng), drawn, options)
    ordered = _with_sentinels(order, space.sentinel(), options.sentinel_every)
    items = tuple(PlanItem(position, kind, each) for position, (kind, each) in enumerate(ordered))
    return CampaignPlan(options, items)


def _check_room(space: CampaignSpace[A], n: int) -> None:
    """Demand twice as many architectures as needed, so that drawing without duplicates ends soon."""
    if 2 * n > space.n_different:
        raise InputError(
            f"{n} subnets are too many for a space of {space.kind} with {space.n_different} different ones; "
            f"ask for at most {space.n_different // 2}"
        )


def _with_repeats(drawn: Sequence[A], n_repeats: int, rng: np.random.Generator) -> list[tuple[Kind, A]]:
    """Random order; each repeat at a random position after its first measurement."""
    first = rng.random(len(drawn))
    keyed: list[tuple[float, Kind, A]] = [
        (float(when), "subnet", each) for when, each in zip(first, drawn, strict=True)
    ]
    for index in rng.choice(len(drawn), n_repeats, replace=False):
        keyed.append((float(rng.uniform(first[index], 1.0)), "repeat", drawn[index]))
    return [(kind, each) for _, kind, each in sorted(keyed, key=lambda entry: entry[0])]


def _share_of(order: list[tuple[Kind, A]], drawn: Sequence[A], options: PlanOptions) -> list[tuple[Kind, A]]:
    """One device's part of the order; a repeat stays with its first measurement, or it would compare two devices."""
    n_shares = max(1, len(options.fleet))
    mine = {each.digest for each in drawn[options.share :: n_shares]}
    return [(kind, each) for kind, each in order if each.digest in mine]


def _with_sentinels(order: Sequence[tuple[Kind, A]], sentinel: A, every: int) -> list[tuple[Kind, A]]:
    watched: list[tuple[Kind, A]] = []
    for index, entry in enumerate(order):
        if index % every == 0:
            watched.append(("sentinel", sentinel))
        watched.append(entry)
    return [*watched, ("sentinel", sentinel)]
