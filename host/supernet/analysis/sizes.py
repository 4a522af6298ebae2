"""Sizes that a module keeps as attributes and its forward hands to a reshape or a split: `num_heads`, `splits`.

A subnet's module must state the sliced size. Which attribute a number in the graph came from cannot be seen in the
graph, so an equal value in the module that made the node is taken for it; the self-check judges the guess.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgewright.converters.axes import Axes, Axis
from edgewright.converters.reshaping import AxisRelations
from torch import nn

from .uses import StatedSize, Uses


class StatedSizes:
    def __init__(self, model: nn.Module, classes: AxisRelations, uses: Uses) -> None:
        self._modules = dict(model.named_modules(remove_duplicate=False))
        self._classes, self._uses = classes, uses

    def of_reshape(self, module: str, before: Axes, after: Axes) -> None:
        """Sizes of the axes that a reshape splits or merges, and of what they are made of."""
        kept = [axis for axis in before if axis in after]
        for axis in (*before, *after):
            if axis in kept or all(self._classes.whole(factor) for factor in axis):
                continue
            self.of_axis(module, axis)
            for factor in axis if len(axis) > 1 else ():
                self.of_axis(module, (factor,))
        self._of_shape(module, after, kept)

    def _of_shape(self, module: str, axes: Axes, kept: Axes) -> None:
        """A list of all sizes that a reshape asks for."""
        shape = [self._size(axis) for axis in axes]
        for name, value in self._attributes(module).items():
            if _are_sizes(value, shape):
                for position, axis in enumerate(axes):
                    if axis not in kept:
                        self._note(module, name, axis, position)

    def of_split(self, module: str, parts: Sequence[Axis], sizes: Sequence[int]) -> None:
        """A list of the parts' sizes, or numbers of one part each."""
        for name, value in self._attributes(module).items():
            if _are_sizes(value, sizes):
                for position, part in enumerate(parts):
                    self._note(module, name, part, position)
            elif _is_size(value) and value in sizes:
                self._note(module, name, parts[sizes.index(value)], None)

    def of_axis(self, module: str, axis: Axis) -> None:
        size = self._size(axis)
        for name, value in self._attributes(module).items():
            if _is_size(value) and value == size:
                self._note(module, name, axis, None)

    def _size(self, axis: Axis) -> int:
        return math.prod(self._classes.size[factor] for factor in axis)

    def _note(self, module: str, name: str, axis: Axis, position: int | None) -> None:
        if axis:
            factors = self._uses.stated_sizes.setdefault(StatedSize(module, name, position), [])
            factors.append(self._classes.merged(axis))

    def _attributes(self, module: str) -> dict[str, object]:
        owner = self._modules.get(module)
        return {} if owner is None else {name: value for name, value in vars(owner).items() if name[:1] != "_"}


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 1


def _are_sizes(value: object, sizes: Sequence[int]) -> bool:
    """Whether an attribute is a list of just these numbers. One that holds tensors cannot be compared as a whole."""
    if not isinstance(value, (list, tuple)) or len(value) != len(sizes):
        return False
    return all(isinstance(item, int) and item == size for item, size in zip(value, sizes, strict=True))
