"""The subnets of a supernet as a search space: which of them a campaign measures, and what their costs depend on.

Shapes: `L` sites, `D` modules of a site, `N` modules of all sites.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..gates import Gates, GateSpace, Layer
from .base import Drawing
from .features import FeatureMap
from .gate_features import FEATURE_SETS, gate_maps

_MAX_DRAWS = 100

Counts = tuple[int, ...]
"""Open modules per site, `(L,)`."""


@dataclass(frozen=True)
class SubnetSpace:
    """A gate space, and the layers that join its sites; without layers, costs are taken to follow sites alone."""

    gates: GateSpace
    layers: tuple[Layer, ...] = ()

    @property
    def kind(self) -> str:
        return self.gates.kind

    @property
    def digest(self) -> str:
        return self.gates.digest

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.gates.feature_names

    def decode(self, encoding: bytes) -> Gates:
        return self.gates.decode(encoding)

    @property
    def feature_sets(self) -> tuple[str, ...]:
        return FEATURE_SETS

    def feature_maps(self, features: str) -> Sequence[FeatureMap]:
        return gate_maps(self.gates, self.layers, features)

    @property
    def n_different(self) -> int:
        """Subnets of equal widths cost the same."""
        return math.prod(site.width for site in self.gates.sites)

    def sentinel(self) -> Gates:
        """Half of every site."""
        return self.gates.from_counts([(site.width + 1) // 2 for site in self.gates.sites])

    def draw(self, n: int, drawing: Drawing, rng: np.random.Generator) -> list[Gates]:
        """The smallest, the full, and one subnet in each of equally wide strata of the ratio; no widths twice."""
        space, taken = self.gates, {self.sentinel().counts}
        subnets = [gates for gates in (space.smallest(), space.full()) if gates.counts not in taken]
        taken |= {gates.counts for gates in subnets}
        n_random = n - len(subnets)
        pinned = _pinned(space, n_random, rng) if drawing.extremes else {}
        for stratum in range(n_random):
            ratio = (stratum + rng.random()) / n_random
            counts = _draw_counts(space, ratio, drawing.spread, pinned.get(stratum), taken, rng)
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
    taken: set[Counts],
    rng: np.random.Generator,
) -> Counts:
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


def _open_at_random(space: GateSpace, counts: Counts, rng: np.random.Generator) -> Gates:
    bits = np.zeros(space.total, bool)
    for where, count in zip(space.slices, counts, strict=True):
        bits[where.start + rng.choice(where.stop - where.start, count, replace=False)] = True
    return Gates(space, bits)
