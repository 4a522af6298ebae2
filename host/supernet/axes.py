"""Which axes of a model's tensors must be sliced together: a union-find over the factors of axes.

An axis is an ordered tuple of factors, outermost first; an axis of size 1 is the empty tuple. Reshaping only
regroups factors, so an axis merged with another one keeps its identity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

Axis = tuple[int, ...]
Axes = list[Axis]
Layout = tuple[int, int]  # batch axis (from the front), channel axis (from the back) of a consumer's input


@dataclass
class AxisClass:
    """What is known of one class of factors that must be sliced together.

    `reasons` is why it must not be sliced; `producers` maps a layer to when it was called; `secondary` are those
    producers that only scale what another one made (squeeze-and-excite, gated linear units).
    """

    reasons: set[str] = field(default_factory=set)
    members: set[tuple[str, int]] = field(default_factory=set)
    producers: dict[str, int] = field(default_factory=dict)
    secondary: set[str] = field(default_factory=set)
    consumers: dict[str, Layout] = field(default_factory=dict)
    grouped: dict[str, int] = field(default_factory=dict)
    block: int = 1

    def add_consumer(self, module: str, layout: Layout) -> None:
        if self.consumers.setdefault(module, layout) != layout:
            self.reasons.add(f"consumer {module} is called with two layouts")

    def add_grouped(self, module: str, channels_per_group: int) -> None:
        self.grouped[module] = channels_per_group
        self.block = math.lcm(self.block, channels_per_group)

    def absorb(self, other: AxisClass) -> None:
        self.reasons |= other.reasons
        self.members |= other.members
        self.secondary |= other.secondary
        self.grouped.update(other.grouped)
        self.block = math.lcm(self.block, other.block)
        for module, order in other.producers.items():
            self.producers[module] = min(order, self.producers.get(module, order))
        for module, layout in other.consumers.items():
            self.add_consumer(module, layout)


class AxisClasses:
    """Union-find over factors, with the operations on axes that the rules are written in."""

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._class: list[AxisClass] = []
        self._splits: dict[tuple[int, int], tuple[int, int]] = {}
        self.size: list[int] = []

    def new(self, size: int, reason: str | None = None, member: tuple[str, int] | None = None) -> int:
        self._parent.append(len(self._parent))
        self.size.append(size)
        self._class.append(AxisClass({reason} if reason else set(), {member} if member else set()))
        return len(self._parent) - 1

    def fresh(self, shape: Sequence[int], reason: str | None = None) -> Axes:
        """New axes of these sizes, related to nothing."""
        return [(self.new(int(size), reason),) if size != 1 else () for size in shape]

    def of_tensor(self, name: str, shape: Sequence[int]) -> Axes:
        """The axes of a parameter or buffer."""
        return [(self.new(size, member=(name, i)),) if size != 1 else () for i, size in enumerate(shape)]

    def find(self, factor: int) -> int:
        while self._parent[factor] != factor:
            self._parent[factor] = self._parent[self._parent[factor]]
            factor = self._parent[factor]
        return factor

    def roots(self) -> list[int]:
        return sorted({self.find(factor) for factor in range(len(self._parent))})

    def get(self, factor: int) -> AxisClass:
        return self._class[self.find(factor)]

    def refuse(self, axes: Sequence[Axis], reason: str) -> None:
        """Never slice these axes."""
        for axis in axes:
            for factor in axis:
                self.get(factor).reasons.add(reason)

    def union(self, a: int, b: int, scaling: bool = False) -> None:
        """Two factors are one class. `scaling`: by a product, so that the later producer is a secondary one."""
        a, b = self.find(a), self.find(b)
        if a == b:
            return
        kept, gone = self._class[a], self._class[b]
        if scaling and kept.producers and gone.producers:
            first_kept, first_gone = min(kept.producers.values()), min(gone.producers.values())
            if first_kept < first_gone:
                kept.secondary |= set(gone.producers)
            elif first_gone < first_kept:
                kept.secondary |= set(kept.producers)
        self._parent[b] = a
        kept.absorb(gone)

    def join(self, a: Axis, b: Axis, scaling: bool = False) -> None:
        """Two axes must agree, factor by factor."""
        if [self.size[f] for f in a] != [self.size[f] for f in b]:
            self.refuse([a, b], "axes with different factors combined")
            return
        for f, g in zip(a, b, strict=True):
            self.union(f, g, scaling)

    def broadcast(self, operands: Sequence[Axes], scaling: bool = False) -> Axes:
        """Axes of an elementwise operation's result."""
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

    def reshape(self, axes: Axes, shape: Sequence[int]) -> Axes:
        """Regroup the factors. A factor that has to be cut is refused, and so is what it is cut into."""
        queue = [factor for axis in axes for factor in axis]
        result: Axes = []
        for size in shape:
            taken: list[int] = []
            needed = int(size)
            while needed > 1:
                factor = queue.pop(0)
                have = self.size[factor]
                if needed % have == 0:
                    taken.append(factor)
                    needed //= have
                elif have % needed == 0:
                    outer, inner = self._split(factor, needed)
                    taken.append(outer)
                    queue.insert(0, inner)
                    needed = 1
                else:
                    reason = "a reshape cuts across the axis"
                    self.refuse([(factor, *queue, *taken)], reason)
                    return self.fresh(shape, reason)
            result.append(tuple(taken))
        return result

    def _split(self, factor: int, outer_size: int) -> tuple[int, int]:
        key = (self.find(factor), outer_size)
        if key not in self._splits:
            self.refuse([(factor,)], "split by a reshape")
            inner_size = self.size[factor] // outer_size
            part = "part of a split axis"
            self._splits[key] = (self.new(outer_size, part), self.new(inner_size, part))
        return self._splits[key]
