"""What a subnet's cost is linear in: how open each site is, how open both ends of a layer are, and how many tiles that
takes.

Every feature is a share in (0, 1] of the full width, so a weight reads as the cost of that part of the full supernet.
Layers between the same two sites share one product: their costs scale alike, in MACs as in parameter bytes.

A kernel computes output channels in tiles of 8 or 16: the 17th costs as much as the 32nd. So a width may also enter
rounded up to whole tiles; which tile a device has is learnt from its measurements.

Shapes: `n` subnets, `L` sites, `F` features.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..gates import GateSpace, Layer
from .features import FloatArray, check_feature_set

FEATURE_SETS = ("paper", "products", "steps")
"""paper: open modules per site (NN-Factory, section 2.6); products: also active in x active out per layer; steps: also
each width in whole tiles, alone and as the output side of the products."""

_TILES = (4, 8, 16, 32)  # channels


def gate_maps(space: GateSpace, layers: Iterable[Layer], features: str) -> Sequence[GateMap]:
    """The maps of one feature set: for "steps" one for each size of a tile.

    Raises `InputError` for an unknown feature set, or a layer that names a site the space does not have.
    """
    check_feature_set(features, FEATURE_SETS)
    if features == "paper":
        return (GateMap(space),)
    pairs = _joined_sites(space, layers)
    return [GateMap(space, pairs, tile) for tile in (_TILES if features == "steps" else (0,))]


@dataclass(frozen=True)
class GateMap:
    """Counts of open modules to features: one per site, then one per pair (in, out) of sites that a layer joins.

    With a `tile` above 0 (channels), the same again with the widths that are computed in tiles rounded up.
    """

    space: GateSpace
    pairs: tuple[tuple[int, int], ...] = ()
    tile: int = 0

    @property
    def name(self) -> str:
        if self.tile:
            return f"steps of {self.tile}"
        return "products" if self.pairs else "paper"

    @cached_property
    def names(self) -> tuple[str, ...]:
        sites = [site.name for site in self.space.sites]
        names = [*sites, *(f"{sites[a]} x {sites[b]}" for a, b in self.pairs)]
        if not self.tile:
            return tuple(names)
        tiled = [f"tiles({site})" for site in sites]
        return (*names, *tiled, *(f"{sites[a]} x {tiled[b]}" for a, b in self.pairs))

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
        features = [shares, shares[:, first] * shares[:, second]]
        if self.tile:
            tiled = self._tiled(shares)  # (n, L)
            features += [tiled, shares[:, first] * tiled[:, second]]
        return np.concatenate(features, axis=1)  # (n, F)

    def _tiled(self, shares: FloatArray) -> FloatArray:
        """Shares of the full width with every width rounded up to whole tiles, `(n, L)`."""
        channels = self._widths * np.array([site.block for site in self.space.sites])  # (L,)
        rounded = np.ceil(np.rint(shares * channels) / self.tile) * self.tile  # (n, L)
        tiled: FloatArray = np.minimum(rounded, channels) / channels  # (n, L)
        return tiled

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
    """Pairs (in, out) of sites with a layer between them, in the layers' order; a lone gated side needs no product."""
    index = {site.name: number for number, site in enumerate(space.sites)}
    pairs: dict[tuple[int, int], None] = {}
    for layer in layers:
        ends = [site for site in (layer.in_site, layer.out_site) if site is not None]
        unknown = [site for site in ends if site not in index]
        if unknown:
            raise InputError(f"layer {layer.name!r} names the site {unknown[0]!r}, which the gate space does not have")
        if len(ends) == 2 and layer.macs > 0:
            pair = (index[ends[0]], index[ends[1]])
            if pair[::-1] not in pairs:
                pairs[pair] = None
    return tuple(pairs)
