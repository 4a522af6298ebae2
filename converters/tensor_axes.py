"""Tracks the axes of a converted model's tensors and which of them its operators tie together.

Uses the algebra of factors in `axes`: an axis is a tuple of factors, a factor is a leaf or a concatenation of leaves.
All axes that share leaves are sliced together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .axes import Axes, Axis
from .errors import ConversionError
from .flatbuffer import Graph, Operator
from .reshaping import AxisRelations
from .slice_plan import Run, Runs

Owners = Mapping[int, tuple[str, int]]  # leaf -> site, and how many units of the leaf one module is


class TensorAxes:
    """The axes of every tensor; an axis of length one is the empty tuple."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.relations = AxisRelations()
        self.extents: dict[tuple[int, int], Axis] = {}  # (constant tensor, position) -> axis whose length it repeats
        self.options: dict[tuple[int, str], Axis] = {}  # (operator, field) -> axis whose length it repeats
        self._axes: dict[int, Axes] = {}

    def of(self, tensor: int) -> Axes:
        """The axes of a tensor; unrelated to any others when first requested."""
        if tensor not in self._axes:
            self._axes[tensor] = self.relations.fresh(self.shape(tensor))
        return list(self._axes[tensor])

    def make(self, tensor: int, axes: Axes) -> None:
        """Set the axes of an operator's output."""
        for axis, known in zip(axes, self._axes.get(tensor, axes), strict=True):
            self.relations.join(axis, known)
        self._axes[tensor] = list(axes)

    def fresh(self, operator: Operator, length: int, why: str) -> Axis:
        """A new axis of an operator's output, which stays whole."""
        (axis,) = self.relations.fresh([length], _reaches(operator, why))
        return axis

    def shape(self, tensor: int) -> tuple[int, ...]:
        return self.graph.shape(tensor)

    def rank(self, tensor: int) -> int:
        return len(self.graph.shape(tensor))

    def length(self, tensor: int, axis: int) -> int:
        return self.graph.shape(tensor)[axis]

    def integers(self, tensor: int) -> list[int]:
        """A constant's elements."""
        values: list[int] = self.graph.value(tensor).ravel().tolist()
        return values

    @property
    def named(self) -> Iterable[tuple[tuple[int, int], Axis]]:
        """((tensor, axis), factors) of all tensors that an operator reads or makes."""
        return (((tensor, i), axis) for tensor, axes in self._axes.items() for i, axis in enumerate(axes))

    def join(self, operator: Operator, a: Axis, b: Axis) -> None:
        """Slice two axes together; if their lengths differ, keep both whole."""
        if self.size(a) == self.size(b):
            self.relations.join(a, b)
        else:
            self.fix(operator, [a, b], "which changes its length")

    def fix(self, operator: Operator, axes: Sequence[Axis], why: str) -> None:
        """Keep these axes whole."""
        self.relations.refuse(axes, _reaches(operator, why))

    def size(self, axis: Axis) -> int:
        size = 1
        for factor in axis:
            size *= self.relations.size[factor]
        return size

    def part(self, axis: Axis, start: int, length: int) -> Axis:
        """The axis that consists of these channels of another one."""
        if (start, length) == (0, self.size(axis)):
            return axis
        part = self.relations.part(self.relations.merged(axis), start, start + length)
        if length > 1:
            return (part,)
        self.relations.refuse([(part,)], "a single channel is taken out of them")
        return ()

    def runs(self, axis: Axis, owners: Owners) -> Runs:
        """An axis as runs of modules and of channels that stay. Raises `ConversionError` when two sites cross."""
        runs: Runs = (Run(None, 1),)
        for factor in axis:
            runs = _crossed(runs, self._factor_runs(factor, owners))
        return runs

    def _factor_runs(self, factor: int, owners: Owners) -> Runs:
        runs: list[Run] = []
        for segment in self.relations.segments(factor):
            if segment.leaf in owners:
                site, units = owners[segment.leaf]
                runs.append(Run(site, segment.block * units))
                continue
            length = self.relations.size[segment.leaf] * segment.block
            if runs and runs[-1].site is None:
                runs[-1] = Run(None, runs[-1].channels + length)
            else:
                runs.append(Run(None, length))
        return tuple(runs)


def _reaches(operator: Operator, why: str) -> str:
    return f"its channels reach {operator}, {why}"


def _crossed(outer: Runs, inner: Runs) -> Runs:
    """The runs of an axis that is the product of two, outer first."""
    if all(run.site is None for run in inner):
        length = sum(run.channels for run in inner)
        return tuple(Run(run.site, run.channels * length) for run in outer)
    if all(run.site is None for run in outer):
        return inner * sum(run.channels for run in outer)
    names = sorted({run.site for run in (*outer, *inner) if run.site is not None})
    raise ConversionError(f"sites {' and '.join(map(repr, names))} cross on one axis; gate one of them only")
