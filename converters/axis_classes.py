"""Union-find over tensor axes: which axes of a model have to be sliced together."""

from __future__ import annotations

from .flatbuffer import Graph, Operator

Axis = tuple[int, int]  # (tensor, axis)


class AxisClasses:
    """What the operators of a model say about its axes. An axis may be given from the back."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.extents: list[tuple[Axis, Axis]] = []  # (constant tensor, position), the axis whose length it repeats
        self.options: list[tuple[tuple[int, str], Axis]] = []  # (operator, field), the axis whose length it repeats
        self.fixed: dict[Axis, str] = {}  # axis -> why it must keep its full length
        self.granules: list[tuple[Axis, int, str]] = []  # axis, consecutive channels that stay together, why
        self._parents: dict[Axis, Axis] = {}

    @property
    def axes(self) -> tuple[Axis, ...]:
        return tuple(self._parents)

    def find(self, axis: Axis) -> Axis:
        """The representative of an axis' class."""
        self._parents.setdefault(axis, axis)
        while self._parents[axis] != axis:
            self._parents[axis] = self._parents[self._parents[axis]]
            axis = self._parents[axis]
        return axis

    def rank(self, tensor: int) -> int:
        return len(self.graph.shape(tensor))

    def length(self, tensor: int, axis: int) -> int:
        return self.graph.shape(tensor)[axis]

    def axis(self, tensor: int, axis: int) -> Axis:
        return tensor, axis % self.rank(tensor)

    def tie(self, operator: Operator, a: int, axis_a: int, b: int, axis_b: int) -> None:
        """Two axes of equal length that are sliced together; of unequal length, both must stay whole."""
        if self.length(a, axis_a) == self.length(b, axis_b):
            self._parents[self.find(self.axis(a, axis_a))] = self.find(self.axis(b, axis_b))
            return
        self.fix(a, axis_a, f"{operator}, which changes its length")
        self.fix(b, axis_b, f"{operator}, which changes its length")

    def fix(self, tensor: int, axis: int, why: str) -> None:
        self.fixed.setdefault(self.axis(tensor, axis), why)

    def fix_all(self, tensor: int, why: str) -> None:
        for axis in range(self.rank(tensor)):
            self.fix(tensor, axis, why)

    def keep_together(self, tensor: int, axis: int, n_channels: int, why: str) -> None:
        self.granules.append((self.axis(tensor, axis), n_channels, why))

    def repeats(self, constant: int, position: int, tensor: int, axis: int) -> None:
        """Element `position` of an integer constant is the length of an axis."""
        self.extents.append(((constant, position), self.axis(tensor, axis)))

    def option_repeats(self, operator: Operator, field: str, tensor: int, axis: int) -> None:
        self.options.append(((operator.index, field), self.axis(tensor, axis)))
