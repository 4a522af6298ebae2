"""One operation of a `torch.export` graph, and the table of the rules for operations.

`RULES` maps an operation's name to its rule. An operation without a rule refuses every axis that reaches it, and what
follows it is judged by its own rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edgewright.converters.axes import Axes, Axis
from edgewright.converters.reshaping import AxisRelations
from torch import Tensor
from torch.fx import Node

from .sizes import StatedSizes

Result = Axes | tuple[Axes, ...]


@dataclass(frozen=True)
class Call:
    """One node of the graph, its arguments by name and the axes of what it reads."""

    node: Node
    op: str
    args: dict[str, Any]
    classes: AxisRelations
    sizes: StatedSizes
    axes_of: dict[Node, Result]
    batch: int
    batch_size: int
    order: int

    @property
    def inputs(self) -> list[Axes]:
        """Axes of every tensor read, in the order of the arguments; a tensor read twice counts once."""
        found: list[Axes] = []
        for node in self.node.all_input_nodes:
            axes = self.axes_of.get(node)
            if axes is not None:
                found.extend(axes if isinstance(axes, tuple) else [axes])
        return found

    @property
    def source(self) -> Node:
        node = self.args.get("self", self.args.get("input"))
        if not isinstance(node, Node):
            raise TypeError(f"{self.op} has no tensor argument 'self' or 'input'")
        return node

    @property
    def x(self) -> Axes:
        return self.axes(self.source)

    def axes(self, node: Node) -> Axes:
        axes = self.axes_of[node]
        if isinstance(axes, tuple):
            raise TypeError(f"{node.name} is several tensors, {self.op} expected one")
        return axes

    @property
    def shape(self) -> Sequence[int]:
        value: Sequence[int] = self.node.meta["val"].shape
        return value

    def sample_axes(self, node: Node) -> list[int]:
        """Where a tensor has the batch; windows folded into it lie behind the samples."""
        axes, batch = self.axes_of.get(node, []), self.classes.find(self.batch)
        if isinstance(axes, tuple):  # the parts of a split have it alike
            axes = axes[0] if axes else []
        return [i for i, axis in enumerate(axes) if axis and self.classes.find(axis[0]) == batch]

    def lost_the_batch(self) -> str | None:
        """The operation on the way to `source` whose result no longer has the batch; None if no sample goes into it."""
        seen, waiting = {self.source}, [self.source]
        while waiting:
            node = waiting.pop(0)
            operands = node.all_input_nodes
            if any(self.sample_axes(operand) for operand in operands):
                return op_name(node)
            waiting += [operand for operand in operands if operand not in seen]
            seen.update(operands)
        return None

    def works_along(self, axis: int, rank: int) -> bool:
        """Whether an argument names this axis of an operand."""
        indices = self.args.get("indices") or ()
        if axis < len(indices) and indices[axis] is not None:
            return True
        return any(dim % rank == axis for name in ("dim", "dims", "axis") for dim in _integers(self.args.get(name)))


def op_name(node: Node) -> str:
    """The name of an operation, whether in place or not; that of a higher-order one is its target's."""
    schema = getattr(node.target, "_schema", None)
    name = str(node.target) if schema is None else str(schema.name)
    return name.rpartition("::")[2].rstrip("_")


def _integers(value: object) -> Iterator[int]:
    for item in value if isinstance(value, (list, tuple)) else (value,):
        if isinstance(item, int):
            yield item


def innermost(node: Node) -> str:
    """Path of the module in whose forward the node was made; a later call of a module is marked `@1`, `@2`."""
    stack = [path for path, _ in (node.meta.get("nn_module_stack") or {}).values()]
    return re.sub(r"@\d+$", "", stack[-1]) if stack else ""


Rule = Callable[[Call], Result]
RULES: dict[str, Rule] = {}


def rule(names: str) -> Callable[[Rule], Rule]:
    """Register a rule for these operations."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names.split(), function))
        return function

    return register


def no_rule(call: Call) -> Result:
    """The sound default: nothing that goes in or comes out may be sliced. The batch stays where it was."""
    reason = f"no rule for {call.op}"
    for axes in call.inputs:
        call.classes.refuse(axes, reason)

    def fresh(value: object) -> Axes:
        if not isinstance(value, Tensor):
            return []
        made = call.classes.fresh(value.shape, reason)
        for position, axis in _batch_of(call, value.shape):
            made[position] = axis
        return made

    value = call.node.meta.get("val")
    return tuple(fresh(item) for item in value) if isinstance(value, (list, tuple)) else fresh(value)


def _batch_of(call: Call, shape: Sequence[int]) -> list[tuple[int, Axis]]:
    """Where a result of this shape has the batch: where an operand has it, if the sizes up to there are the operand's
    and the operation does not work along it."""
    for node in call.node.all_input_nodes:
        for position in call.sample_axes(node):
            operand = node.meta["val"].shape
            same = operand[: position + 1] == shape[: position + 1]
            if same and not call.works_along(position, len(operand)):
                return [(position, call.axes(node)[position])]
    return []
