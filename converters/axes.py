"""Which axes of a model's tensors must be sliced together: a union-find over the factors of axes.

An axis is an ordered tuple of factors, outermost first; an axis of size 1 is the empty tuple. Reshaping only
regroups factors, so an axis keeps its identity when it is merged with another.

A factor is a leaf or a concatenation of factors. Joining two factors cuts each where the other is cut, so a leaf may
appear at several offsets of several tensors. A leaf may also be another factor, scaled: each unit of that factor is a
run of channels here, as each head of an attention is a run of a linear layer's channels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

Axis = tuple[int, ...]
Axes = list[Axis]


@dataclass
class FactorClass:
    """What is known about factors that must be sliced together.

    `reasons` are why they must not be sliced; `producers` maps a layer to when it was called; `secondary` are the
    producers that only scale the output of another one (squeeze-and-excite, gated linear units).
    """

    reasons: set[str] = field(default_factory=set)
    producers: dict[str, int] = field(default_factory=dict)
    secondary: set[str] = field(default_factory=set)
    parts: list[int] | None = None
    scaled: tuple[int, int] | None = None  # factor of the units, channels per unit

    def copy(self) -> FactorClass:
        return FactorClass(set(self.reasons), dict(self.producers), set(self.secondary))

    def absorb(self, other: FactorClass) -> None:
        self.reasons |= other.reasons
        self.secondary |= other.secondary
        for module, order in other.producers.items():
            self.producers[module] = min(order, self.producers.get(module, order))


@dataclass(frozen=True)
class Segment:
    """A run of an axis: all units of one leaf in order, `block` channels each, starting at channel `offset`."""

    leaf: int
    offset: int
    block: int


class AxisClasses:
    """Union-find over factors, with the operations on axes that the rules use."""

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._class: list[FactorClass] = []
        self.size: list[int] = []

    def new(self, size: int, reason: str | None = None) -> int:
        self._parent.append(len(self._parent))
        self.size.append(size)
        self._class.append(FactorClass({reason} if reason else set()))
        return len(self._parent) - 1

    def fresh(self, shape: Sequence[int], reason: str | None = None) -> Axes:
        """New axes of these sizes, related to nothing."""
        return [(self.new(int(size), reason),) if size != 1 else () for size in shape]

    def find(self, factor: int) -> int:
        while self._parent[factor] != factor:
            self._parent[factor] = self._parent[self._parent[factor]]
            factor = self._parent[factor]
        return factor

    def get(self, factor: int) -> FactorClass:
        return self._class[self.find(factor)]

    def roots(self) -> list[int]:
        return sorted({self.find(factor) for factor in range(len(self._parent))})

    def leaves(self, factor: int) -> list[int]:
        parts = self.get(factor).parts
        return [self.find(factor)] if parts is None else [leaf for part in parts for leaf in self.leaves(part)]

    def segments(self, factor: int) -> Iterator[Segment]:
        """The leaves with their offsets; scaled ones are resolved into their units."""
        offset = 0
        for leaf in self.leaves(factor):
            scaled = self.get(leaf).scaled
            if scaled is None:
                yield Segment(leaf, offset, 1)
            else:
                units, block = scaled
                for unit in self.segments(units):
                    yield Segment(unit.leaf, offset + unit.offset * block, unit.block * block)
            offset += self.size[leaf]

    def whole(self, factor: int) -> bool:
        """Whether no part of the factor may be sliced."""
        return all(self.get(segment.leaf).reasons for segment in self.segments(factor))

    def refuse(self, axes: Sequence[Axis], reason: str) -> None:
        """Never slice these axes."""
        for axis in axes:
            for factor in axis:
                for segment in self.segments(factor):
                    self.get(segment.leaf).reasons.add(reason)

    def concatenate(self, factors: Sequence[int]) -> int:
        """A factor that consists of these, one after the other."""
        if len(factors) == 1:
            return factors[0]
        whole = self.new(sum(self.size[factor] for factor in factors))
        self._class[whole].parts = list(factors)
        return whole

    def scale(self, units: int, block: int) -> int:
        """A factor with `block` channels per unit of another one."""
        if block == 1:
            return units
        scaled = self.new(self.size[units] * block)
        self._class[scaled].scaled = (units, block)
        return scaled

    def part(self, factor: int, start: int, stop: int) -> int:
        """The factor of these channels; cuts the leaves where necessary."""
        self._cut(factor, start)
        self._cut(factor, stop)
        offset, inside = 0, []
        for leaf in self.leaves(factor):
            if start <= offset < stop:
                inside.append(leaf)
            offset += self.size[leaf]
        return self.concatenate(inside)

    def _cut(self, factor: int, at: int) -> None:
        """Make `at` a boundary between two leaves."""
        offset = 0
        for leaf in self.leaves(factor):
            if offset < at < offset + self.size[leaf]:
                self._cut_leaf(leaf, at - offset)
                return
            offset += self.size[leaf]

    def _cut_leaf(self, leaf: int, at: int) -> None:
        factor_class, size = self._class[leaf], self.size[leaf]
        if factor_class.scaled is not None:
            units, block = factor_class.scaled
            if at % block == 0:
                bounds = ((0, at // block), (at // block, size // block))
                factor_class.parts = [self.scale(self.part(units, *bound), block) for bound in bounds]
                factor_class.scaled = None
                return
            reason = f"cut across units of {block} channels"
            self.refuse([(leaf,)], reason)
            factor_class.scaled = None
            factor_class.reasons.add(reason)
        factor_class.parts = [self.new(at), self.new(size - at)]
        for part in factor_class.parts:
            self._class[part] = factor_class.copy()

    def union(self, a: int, b: int, scaling: bool = False) -> None:
        """Merge two factors of equal size. `scaling`: a product merges them, so the later producer is secondary."""
        if self.find(a) == self.find(b):
            return
        self._cut_alike(a, b)
        pairs = list(zip(self.leaves(a), self.leaves(b), strict=True))
        for one, other in pairs:
            if len(pairs) == 1:
                self._merge(one, other, scaling)
            else:
                self.union(one, other, scaling)

    def _cut_alike(self, a: int, b: int) -> None:
        """Cut both until their boundaries agree. Cutting one may cut the other again, when they share leaves."""
        while (bounds_a := self._bounds(a)) != (bounds_b := self._bounds(b)):
            for at in sorted(bounds_b - bounds_a):
                self._cut(a, at)
            for at in sorted(bounds_a - bounds_b):
                self._cut(b, at)

    def _bounds(self, factor: int) -> set[int]:
        bounds, offset = set(), 0
        for leaf in self.leaves(factor):
            offset += self.size[leaf]
            bounds.add(offset)
        return bounds

    def _merge(self, a: int, b: int, scaling: bool) -> None:
        a, b = self.find(a), self.find(b)
        if a == b:
            return
        if self._class[b].scaled is not None and self._class[a].scaled is None:
            a, b = b, a
        kept, gone = self._class[a], self._class[b]
        if scaling:
            kept.secondary |= _later(self._producers(a), self._producers(b))
        self._parent[b] = a
        kept.absorb(gone)
        if kept.scaled is None:
            return
        for segment in self.segments(a):
            self.get(segment.leaf).absorb(kept)
        if gone.scaled is not None:
            self._merge_scaled(kept.scaled, gone.scaled)

    def _producers(self, leaf: int) -> dict[str, int]:
        """The producers of a leaf's units found so far."""
        return {name: order for s in self.segments(leaf) for name, order in self.get(s.leaf).producers.items()}

    def _merge_scaled(self, one: tuple[int, int], other: tuple[int, int]) -> None:
        (fine, small), (coarse, large) = sorted((one, other), key=lambda scaled: scaled[1])
        if large % small == 0:
            self.union(fine, self.scale(coarse, large // small))
        else:
            self.refuse([(fine,), (coarse,)], f"units of {small} and of {large} channels combined")

    def broadcast(self, operands: Sequence[Axes], scaling: bool = False) -> Axes:
        """The axes of an elementwise operation's result."""
        rank = max(len(axes) for axes in operands)
        result: Axes = []
        for i in range(rank):
            merged: Axis = ()
            for axes in operands:
                j = i - (rank - len(axes))
                if j < 0 or not axes[j]:
                    continue
                if merged:
                    self.join(merged, axes[j], scaling)
                merged = merged or axes[j]
            result.append(merged)
        return result

    def join(self, a: Axis, b: Axis, scaling: bool = False) -> None:
        """Slice two axes together."""
        if math.prod(self.size[f] for f in a) != math.prod(self.size[f] for f in b):
            self.refuse([a, b], "axes of different size combined")
        elif [self.size[f] for f in a] == [self.size[f] for f in b]:
            for f, g in zip(a, b, strict=True):
                self.union(f, g, scaling)
        else:
            self.join_regrouped(a, b)

    def join_regrouped(self, a: Axis, b: Axis) -> None:
        self.refuse([a, b], "axes with different factors combined")


def _later(one: dict[str, int], other: dict[str, int]) -> set[str]:
    """The later producers, which only scale the output of the earlier ones."""
    if not one or not other:
        return set()
    first, second = min(one.values()), min(other.values())
    if first == second:
        return set()
    return set(other) if first < second else set(one)
