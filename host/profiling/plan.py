"""Which subnets a campaign measures, and in which order. The same options always give the same plan.

Shapes: `L` sites, `D` modules of a site, `N` modules of all sites.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from edgewright.device_agent.timing import TimingProtocol

from ..errors import InputError
from ..gates import Gates, GateSpace
from .records import Kind

_MAX_DRAWS = 100
_MIN_REPEATS = 10


@dataclass(frozen=True)
class PlanOptions:
    """What a plan is drawn from.

    `n_subnets` different subnets, the full and the smallest among them; `repeat_share` of them (at least 10, or all)
    measured a second time later on; the sentinel before the first, after the last and every `sentinel_every` records.
    `spread` is how far a site's share of open modules strays from the subnet's, as a standard deviation in logits.
    With `extremes` each site is once at its narrowest and once at its full width whatever the others are, in at most a
    quarter of the subnets.

    A campaign spread over identical devices names them all in `fleet`; the plan of the one at `share` holds every
    n-th of the subnets, whole with its repeat, between sentinels of its own.
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
            raise InputError(f"`share` must be a place in `fleet`, but got share={self.share} and fleet={self.fleet}")

    @property
    def n_repeats(self) -> int:
        """How many subnets are measured twice; a share of 0 means none."""
        if self.repeat_share == 0:
            return 0
        return min(self.n_subnets, max(_MIN_REPEATS, round(self.repeat_share * self.n_subnets)))

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "fleet": list(self.fleet)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PlanOptions:
        # Plans of before there were extremes can still be drawn again.
        return cls(**{"extremes": False, **data, "fleet": tuple(data.get("fleet", ()))})


@dataclass(frozen=True)
class PlanItem:
    position: int
    kind: Kind
    gates: Gates


@dataclass(frozen=True)
class CampaignPlan:
    """The items in the order they are measured."""

    options: PlanOptions
    items: tuple[PlanItem, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[PlanItem]:
        return iter(self.items)

    @cached_property
    def digest(self) -> str:
        text = json.dumps([[item.kind, item.gates.digest] for item in self.items], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Campaign:
    """One plan on one device under one protocol. `n_planned` counts its positions, repeats and sentinels included."""

    id: int
    device: str
    space_digest: str
    template_sha: str
    protocol: TimingProtocol
    options: PlanOptions
    plan_digest: str
    n_planned: int
    created_at: str


def make_plan(space: GateSpace, options: PlanOptions) -> CampaignPlan:
    """Draw a campaign's subnets and their order.

    Raises:
        InputError: the gate space has too few different subnets for so many.
    """
    _check_room(space, options.n_subnets)
    rng = np.random.default_rng(options.seed)
    sentinel = space.from_counts([(site.width + 1) // 2 for site in space.sites])
    subnets = _draw_subnets(space, options, {sentinel.counts}, rng)
    order = _share_of(_with_repeats(subnets, options.n_repeats, rng), subnets, options)
    ordered = _with_sentinels(order, sentinel, options.sentinel_every)
    items = tuple(PlanItem(position, kind, gates) for position, (kind, gates) in enumerate(ordered))
    return CampaignPlan(options, items)


def _check_room(space: GateSpace, n_subnets: int) -> None:
    """Leave twice the room that is needed, so that drawing without duplicates always ends soon."""
    different = math.prod(site.width for site in space.sites)
    if 2 * n_subnets > different:
        raise InputError(
            f"{n_subnets} subnets are too many for a gate space with {different} different ones; "
            f"ask for at most {different // 2}"
        )


def _draw_subnets(
    space: GateSpace, options: PlanOptions, taken: set[tuple[int, ...]], rng: np.random.Generator
) -> list[Gates]:
    """The smallest, the full, and one subnet in each of equally wide strata of the ratio; no widths twice."""
    subnets = [gates for gates in (space.smallest(), space.full()) if gates.counts not in taken]
    taken = taken | {gates.counts for gates in subnets}
    n_random = options.n_subnets - len(subnets)
    pinned = _pinned(space, n_random, rng) if options.extremes else {}
    for stratum in range(n_random):
        ratio = (stratum + rng.random()) / n_random
        counts = _draw_counts(space, ratio, options.spread, pinned.get(stratum), taken, rng)
        taken.add(counts)
        subnets.append(_open_at_random(space, counts, rng))
    return subnets


def _pinned(space: GateSpace, n_strata: int, rng: np.random.Generator) -> dict[int, tuple[int, int]]:
    """Strata whose subnet has one site at an extreme: stratum -> (site, width)."""
    extremes = [(index, width) for index, site in enumerate(space.sites) for width in (1, site.width)]
    n = min(len(extremes), n_strata // 4)
    strata = rng.choice(n_strata, n, replace=False).tolist()
    chosen = rng.permutation(len(extremes))[:n].tolist()
    return {stratum: extremes[index] for stratum, index in zip(strata, chosen, strict=True)}


def _draw_counts(
    space: GateSpace,
    ratio: float,
    spread: float,
    pinned: tuple[int, int] | None,
    taken: set[tuple[int, ...]],
    rng: np.random.Generator,
) -> tuple[int, ...]:
    widths = np.array([site.width for site in space.sites])  # (L,)
    ratio = min(max(ratio, 1 / space.total), 1 - 1 / (2 * space.total))
    for _ in range(_MAX_DRAWS):
        logits = math.log(ratio / (1 - ratio)) + spread * rng.standard_normal(len(widths))  # (L,)
        counts = np.clip(np.rint(widths / (1 + np.exp(-logits))), 1, widths).astype(int)
        if pinned is not None:
            counts[pinned[0]] = pinned[1]
        if tuple(counts.tolist()) not in taken:
            return tuple(counts.tolist())
    for _ in range(_MAX_DRAWS):  # a tiny space, or no spread: any widths that are left
        counts = rng.integers(1, widths + 1)
        if tuple(counts.tolist()) not in taken:
            return tuple(counts.tolist())
    raise InputError(f"no new subnet in {_MAX_DRAWS} draws from a gate space of {space.total} modules; ask for fewer")


def _open_at_random(space: GateSpace, counts: Sequence[int], rng: np.random.Generator) -> Gates:
    bits = np.zeros(space.total, bool)
    for where, count in zip(space.slices, counts, strict=True):
        bits[where.start + rng.choice(where.stop - where.start, count, replace=False)] = True
    return Gates(space, bits)


def _with_repeats(subnets: Sequence[Gates], n_repeats: int, rng: np.random.Generator) -> list[tuple[Kind, Gates]]:
    """Random order; each repeat at a random place after its first measurement."""
    first = rng.random(len(subnets))
    keyed: list[tuple[float, Kind, Gates]] = [
        (float(when), "subnet", gates) for when, gates in zip(first, subnets, strict=True)
    ]
    for index in rng.choice(len(subnets), n_repeats, replace=False):
        keyed.append((float(rng.uniform(first[index], 1.0)), "repeat", subnets[index]))
    return [(kind, gates) for _, kind, gates in sorted(keyed, key=lambda entry: entry[0])]


def _share_of(
    order: list[tuple[Kind, Gates]], subnets: Sequence[Gates], options: PlanOptions
) -> list[tuple[Kind, Gates]]:
    """One device's part of the order; a repeat goes where its subnet went, or it would compare two devices."""
    n_shares = max(1, len(options.fleet))
    mine = {gates.digest for gates in subnets[options.share :: n_shares]}
    return [(kind, gates) for kind, gates in order if gates.digest in mine]


def _with_sentinels(order: Sequence[tuple[Kind, Gates]], sentinel: Gates, every: int) -> list[tuple[Kind, Gates]]:
    watched: list[tuple[Kind, Gates]] = []
    for index, entry in enumerate(order):
        if index % every == 0:
            watched.append(("sentinel", sentinel))
        watched.append(entry)
    return [*watched, ("sentinel", sentinel)]
