"""Handles reshapes that split or merge axes: a factor becomes the product of an outer and an inner one.

The channels of an attention's query are heads times channels per head; those of a radix split are groups times
channels per group. Such a factor can be sliced by outer units, each with all its inner channels, or by inner channels,
the same in every outer unit. The choice is known only at the end of the graph: an operator that sums over a part, or
picks from it, keeps that part whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .axes import Axes, Axis, AxisClasses


@dataclass(frozen=True)
class Product:
    factor: int
    outer: int
    inner: int


class AxisRelations(AxisClasses):
    """The factor classes of a graph while its operators are visited; call `settle` at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._open: list[Product] = []
        self._split_before: dict[tuple[int, int], tuple[int, int]] = {}

    def split(self, factor: int, outer_size: int) -> tuple[int, int]:
        key = (self.find(factor), outer_size)
        if key not in self._split_before:
            reason = "part of a split axis that stays whole" if self.whole(factor) else None
            inner_size = self.size[factor] // outer_size
            product = Product(factor, self.new(outer_size, reason), self.new(inner_size, reason))
            self._split_before[key] = product.outer, product.inner
            if reason is None:
                self._open.append(product)
        return self._split_before[key]

    def merged(self, axis: Axis) -> int:
        """An axis as one factor."""
        if len(axis) == 1:
            return axis[0]
        if not axis:
            return self.new(1, "a single channel")
        factor = self.new(math.prod(self.size[f] for f in axis))
        self.join((factor,), axis)
        return factor

    def join_regrouped(self, a: Axis, b: Axis) -> None:
        left, right = list(a), list(b)
        while left and right:
            f, g = left.pop(0), right.pop(0)
            if self.size[f] == self.size[g]:
                self.union(f, g)
            elif self.size[f] % self.size[g] == 0:
                f, rest = self.split(f, self.size[g])
                self.union(f, g)
                left.insert(0, rest)
            elif self.size[g] % self.size[f] == 0:
                g, rest = self.split(g, self.size[f])
                self.union(f, g)
                right.insert(0, rest)
            else:
                self.refuse([a, b], "axes with different factors combined")
                return

    def reshape(self, axes: Axes, shape: Sequence[int]) -> Axes:
        """Regroup the factors. Refuses axes that the new shape does not divide evenly."""
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
                    outer, inner = self.split(factor, needed)
                    taken.append(outer)
                    queue.insert(0, inner)
                    needed = 1
                else:
                    reason = "a reshape cuts across the axis"
                    self.refuse([(factor, *queue, *taken)], reason)
                    return [*result, *self.fresh(shape[len(result) :], reason)]
            result.append(tuple(taken))
        return result

    def settle(self) -> None:
        """Decide every split: which of its two factors is sliced, or none."""
        while self._open:
            undecided = [product for product in self._open if not self._decide(product)]
            if len(undecided) == len(self._open):
                self._prefer_the_larger(undecided[0])
            self._open = undecided

    def _prefer_the_larger(self, product: Product) -> None:
        """Choose the part with more units, so that a channel shuffle of 2 x 32 has 32 modules and not 2."""
        outer_is_larger = self.size[product.outer] >= self.size[product.inner]
        self.refuse([(product.inner if outer_is_larger else product.outer,)], "the smaller part of a split axis")

    def _decide(self, product: Product) -> bool:
        factor, outer, inner = product.factor, product.outer, product.inner
        if self.whole(factor):
            self.refuse([(outer,), (inner,)], "part of a split axis that stays whole")
        elif self.whole(outer) and self.whole(inner):
            self.refuse([(factor,)], "split by a reshape")
        elif self.whole(inner):
            self.union(factor, self.scale(outer, self.size[inner]))
        elif self.whole(outer):
            self.union(factor, self.concatenate([inner] * self.size[outer]))
        else:
            return False
        return True
