"""One operation of a `torch.export` graph, and the table of the rules for operations.

`RULES` maps an operation's name to its rule. An operation without a rule refuses every axis that reaches it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edgewright.converters.axes import Axes
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
    """The sound default: nothing that goes in or comes out may be sliced."""
    reason = f"no rule for {call.op}"
    for axes in call.inputs:
        call.classes.refuse(axes, reason)

    def fresh(value: object) -> Axes:
        return call.classes.fresh(value.shape, reason) if isinstance(value, Tensor) else []

    value = call.node.meta.get("val")
    return tuple(fresh(item) for item in value) if isinstance(value, (list, tuple)) else fresh(value)
