"""What a cost is linear in: how open each site is, and how open both ends of a layer are together.

Every feature is a share in (0, 1] of the full width, so a weight reads as the cost of that part of the full supernet.
Layers between the same two sites share one product: their costs scale alike, in MACs as in parameter bytes.

Shapes: `n` subnets, `L` sites, `F` features.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..gates import GateSpace, Layer

FloatArray = NDArray[np.float64]

FeatureSet = Literal["paper", "products"]
"""paper: open modules per site (NN-Factory, section 2.6); products: also active in x active out per layer."""


@dataclass(frozen=True)
class FeatureMap:
    """Counts of open modules to features: one per site, then one per pair of sites that a layer joins."""

    space: GateSpace
    pairs: tuple[tuple[int, int], ...]

    @classmethod
    def build(cls, space: GateSpace, layers: Iterable[Layer], features: FeatureSet) -> FeatureMap:
        """Raises `InputError` for an unknown feature set or a layer of another gate space."""
        if features not in get_args(FeatureSet):
            raise InputError(f"features must be one of {', '.join(get_args(FeatureSet))}, got {features!r}")
        return cls(space, _joined_sites(space, layers) if features == "products" else ())

    @cached_property
    def names(self) -> tuple[str, ...]:
        sites = [site.name for site in self.space.sites]
        return (*sites, *(f"{sites[a]} x {sites[b]}" for a, b in self.pairs))

    @cached_property
    def _widths(self) -> FloatArray:
        return np.array([site.width for site in self.space.sites], float)  # (L,)

    @cached_property
    def _ends(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        ends = np.array(self.pairs, np.intp).reshape(-1, 2)
        return ends[:, 0], ends[:, 1]

    def __call__(self, counts: ArrayLike) -> FloatArray:
        """Open modules `(n, L)` -> features `(n, F)`. Raises `InputError` for counts outside the gate space."""
        shares = self._checked(counts) / self._widths  # (n, L)
        first, second = self._ends
        return np.concatenate([shares, shares[:, first] * shares[:, second]], axis=1)  # (n, F)

    def _checked(self, counts: ArrayLike) -> FloatArray:
        array = np.asarray(counts, float)
        n_sites = len(self.space.sites)
        if array.ndim != 2 or array.shape[1] != n_sites:
            raise InputError(f"counts must have shape (n, {n_sites}), one column per site, got {array.shape}")
        inside = (array >= 1) & (array <= self._widths)
        if not inside.all():
            row, column = np.argwhere(~inside)[0]
            site = self.space.sites[column]
            raise InputError(
                f"subnet {row} has {array[row, column]:g} open modules at site {site.name!r}; "
                f"it must be within 1 and {site.width}"
            )
        return array


def _joined_sites(space: GateSpace, layers: Iterable[Layer]) -> tuple[tuple[int, int], ...]:
    """Pairs of sites with a layer between them, in the order of the layers; a lone gated side needs no product."""
    index = {site.name: number for number, site in enumerate(space.sites)}
    pairs: dict[tuple[int, int], None] = {}
    for layer in layers:
        ends = [site for site in (layer.in_site, layer.out_site) if site is not None]
        unknown = [site for site in ends if site not in index]
        if unknown:
            raise InputError(f"layer {layer.name!r} names the site {unknown[0]!r}, which the gate space does not have")
        if len(ends) == 2 and layer.macs > 0:
            a, b = sorted(index[site] for site in ends)
            pairs[a, b] = None
    return tuple(pairs)
