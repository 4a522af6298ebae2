"""Which modules of a supernet are open: the gate space, and one immutable choice in it.

Shapes: `L` sites, `D` modules of a site, `N` modules of all sites together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .errors import InputError

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Site:
    """Part of a supernet with a gate vector: `width` modules of `block` consecutive channels each."""

    name: str
    width: int
    block: int = 1

    def __post_init__(self) -> None:
        if self.width < 1 or self.block < 1:
            raise InputError(f"site {self.name!r} needs width and block of at least 1, got {self.width}, {self.block}")


@dataclass(frozen=True)
class Layer:
    """One conv or linear layer as a cost sees it: the sites that set its input and output width, and its full MACs.

    A site of None means that this side keeps its full width in every subnet.
    """

    name: str
    in_site: str | None
    out_site: str | None
    in_width: int
    out_width: int
    macs: int


@dataclass(frozen=True)
class GateSpace:
    """The ordered sites of one supernet."""

    sites: tuple[Site, ...]

    def __post_init__(self) -> None:
        names = [site.name for site in self.sites]
        if not names:
            raise InputError("a gate space needs at least one site")
        if len(set(names)) != len(names):
            raise InputError(f"site names must differ, got {names}")

    @cached_property
    def total(self) -> int:
        """Number of modules over all sites (`N`)."""
        return sum(site.width for site in self.sites)

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Where each site is in a flat vector of `N` bits."""
        ends = np.cumsum([site.width for site in self.sites]).tolist()
        return tuple(slice(end - site.width, end) for site, end in zip(self.sites, ends, strict=True))

    @cached_property
    def digest(self) -> str:
        text = json.dumps([[site.name, site.width, site.block] for site in self.sites], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def kind(self) -> str:
        return "gates"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The sites; a subnet's features are its open modules at each."""
        return tuple(site.name for site in self.sites)

    def full(self) -> Gates:
        return Gates(self, np.ones(self.total, bool))

    def smallest(self) -> Gates:
        """One open module per site: the first."""
        return self.from_counts([1] * len(self.sites))

    def from_counts(self, counts: Sequence[int]) -> Gates:
        """The first `counts[l]` modules of every site. Enough where only widths matter: latency and memory."""
        bits = np.zeros(self.total, bool)
        for where, count in zip(self.slices, counts, strict=True):
            bits[where.start : where.start + count] = True
        return Gates(self, bits)

    def from_masks(self, masks: Mapping[str, BoolArray]) -> Gates:
        """One boolean vector `(D,)` per site."""
        names = [site.name for site in self.sites]
        if set(masks) != set(names):
            raise InputError(f"masks must name exactly the sites {names}, got {sorted(masks)}")
        return Gates(self, np.concatenate([np.asarray(masks[site.name], bool) for site in self.sites]))

    def unpack(self, packed: bytes) -> Gates:
        """The inverse of `Gates.pack`. Raises `InputError` when the length does not match."""
        if len(packed) != (self.total + 7) // 8:
            raise InputError(f"{len(packed)} bytes of gates do not fit a gate space of {self.total} modules")
        return Gates(self, np.unpackbits(np.frombuffer(packed, np.uint8), count=self.total).astype(bool))

    def decode(self, encoding: bytes) -> Gates:
        """`unpack`, as every search space names it."""
        return self.unpack(encoding)

    def sample(self, ratio: float, rng: np.random.Generator) -> Gates:
        """Gates with about `ratio` of all modules open, never empty at a site."""
        bits = rng.random(self.total) < ratio
        for where in self.slices:
            if not bits[where].any():
                bits[rng.integers(where.start, where.stop)] = True
        return Gates(self, bits)


@dataclass(frozen=True, eq=False)
class Gates:
    """One immutable choice: a bit per module, `(N,)`, never empty at a site."""

    space: GateSpace
    bits: BoolArray

    def __post_init__(self) -> None:
        bits = np.array(self.bits, bool)  # a copy, so that nobody else can write to it
        bits.flags.writeable = False
        object.__setattr__(self, "bits", bits)
        if bits.shape != (self.space.total,):
            raise InputError(f"gates must have shape ({self.space.total},), got {bits.shape}")
        for site, count in zip(self.space.sites, self.counts, strict=True):
            if count == 0:
                raise InputError(f"site {site.name!r} has no open module; at least one of its {site.width} must stay")

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Open modules per site, `(L,)`."""
        return tuple(int(self.bits[where].sum()) for where in self.space.slices)

    @property
    def kind(self) -> str:
        return self.space.kind

    @property
    def features(self) -> tuple[float, ...]:
        """What a cost depends on: `counts`."""
        return self.counts

    @property
    def encoding(self) -> bytes:
        return self.pack()

    @property
    def ratio(self) -> float:
        """Share of open modules over the whole model."""
        return float(self.bits.mean())

    def pack(self) -> bytes:
        """Eight modules a byte, sites in order, most significant bit first."""
        return np.packbits(self.bits).tobytes()

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.space.digest.encode() + self.pack()).hexdigest()[:16]

    def masks(self) -> dict[str, BoolArray]:
        """One boolean vector `(D,)` per site."""
        return {site.name: self.bits[where] for site, where in zip(self.space.sites, self.space.slices, strict=True)}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Gates):
            return NotImplemented
        return self.space == other.space and bool(np.array_equal(self.bits, other.bits))

    def __hash__(self) -> int:
        return hash(self.digest)
