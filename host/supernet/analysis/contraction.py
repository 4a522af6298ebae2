"""The rule of convolutions and linear layers, the only operations that sum over channels: producers and consumers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgewright.converters.axes import Axes, Axis
from torch import nn
from torch.fx import Node
from torch.nn.utils import parametrize

from ..gating import TRANSPOSED
from .calls import Call, innermost
from .uses import Grouping, Member, Uses

OPS = ("conv1d", "conv2d", "conv3d", "linear", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
LAYER_TYPES = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, *TRANSPOSED)


@dataclass(frozen=True)
class LayerCall:
    """One call of a conv or linear, for the list of layers. `macs` per sample; None: no gate changes that side."""

    name: str
    in_factor: int | None
    out_factor: int | None
    in_width: int
    out_width: int
    macs: int


@dataclass(frozen=True)
class Filters:
    """The weight of one call: `(C out, C in of a group, ...)`, transposed `(C in, C out of a group, ...)`.

    `module` is the layer that it belongs to; None if another one applies it, or to another input than its own.
    """

    node: Node
    module: str | None
    axes: Axes
    groups: int
    transposed: bool

    @property
    def shape(self) -> Sequence[int]:
        value: Sequence[int] = self.node.meta["val"].shape
        return value

    @property
    def summed(self) -> Axis:
        return self.axes[0] if self.transposed else self.axes[1]

    @property
    def made(self) -> Axis:
        return self.axes[1] if self.transposed else self.axes[0]

    @property
    def in_width(self) -> int:
        """Channels that one output sums over."""
        return self.shape[0] // self.groups if self.transposed else self.shape[1]

    @property
    def out_width(self) -> int:
        return self.shape[1] * self.groups if self.transposed else self.shape[0]


class Contractions:
    """Applies the rule, and keeps the calls it saw."""

    def __init__(self, model: nn.Module, tensor_names: dict[str, str], uses: Uses) -> None:
        self.calls: list[LayerCall] = []
        self._uses = uses
        self._tensor_names = tensor_names  # graph input -> parameter or buffer
        self._modules: dict[str, nn.Module] = dict(model.named_modules(remove_duplicate=False))
        self._first_path: dict[int, str] = {id(module): path for path, module in model.named_modules()}
        self._computed: dict[str, Axes] = {}  # parametrised layer -> axes of its weight

    def rule(self, call: Call) -> Axes:
        filters, x = self._filters(call), call.x
        channel = len(x) - len(filters.shape) + 1
        call.classes.refuse(x[channel + 1 :], "spatial axis of a convolution")
        out = self._relate(call, filters, x, channel)
        self._record(call, filters, out)
        bias = call.args.get("bias")
        if isinstance(bias, Node):
            call.classes.join(out, call.axes(bias)[0])
        return [*x[:channel], out, *call.classes.fresh(call.shape[channel + 1 :], "spatial axis")]

    def _filters(self, call: Call) -> Filters:
        node: Node = call.args["weight"]
        module = self._module(call, node)
        own = module is not None and node.name not in self._tensor_names
        axes = self._computed_weight(call, node, str(module)) if own else call.axes(node)
        return Filters(node, module, axes, call.args.get("groups", 1), "transpose" in call.op)

    def _computed_weight(self, call: Call, node: Node, module: str) -> Axes:
        """The axes of a parametrised layer's weight. Slicing acts on its value, not on the parameters behind it."""
        if module not in self._computed:
            axes = self._computed[module] = call.classes.fresh(node.meta["val"].shape)
            self._uses.members += [Member(axis[0], f"{module}.weight", i) for i, axis in enumerate(axes) if axis]
        return self._computed[module]

    def _relate(self, call: Call, filters: Filters, x: Axes, channel: int) -> Axis:
        """Relate input channels, weight and output channels; the axis of the output channels."""
        if filters.module is None:
            reason = f"{call.op} whose weight is not applied by its own layer to the layer's input"
            call.classes.refuse([x[channel], *filters.axes], reason)
            return call.classes.fresh([filters.out_width], reason)[0]
        if filters.groups > 1:
            return self._group(call, filters, filters.module, x[channel])
        self._contract(call, filters.module, filters.summed, x, channel)
        if filters.made:
            self._uses.produce(call.classes, filters.made[0], filters.module, call.order)
        return filters.made

    def _group(self, call: Call, filters: Filters, module: str, channels: Axis) -> Axis:
        """Input and output channels are runs of the same groups."""
        out_per_group = filters.out_width // filters.groups
        units = call.classes.new(filters.groups)
        read: Axis = (call.classes.scale(units, filters.in_width),)
        made: Axis = (call.classes.scale(units, out_per_group),)
        call.classes.join(channels, read)
        call.classes.join(filters.axes[0], read if filters.transposed else made)
        call.classes.refuse([filters.axes[1]], "inside a group")
        self._uses.groupings.append(Grouping(made[0], module, out_per_group))
        return made

    def _contract(self, call: Call, module: str, summed: Axis, x: Axes, channel: int) -> None:
        if not summed:
            return
        call.classes.join(x[channel], summed)
        where = call.sample_axes(call.source)
        if len(where) == 1:
            self._uses.consume(call.classes, summed[0], module, (where[0], channel - len(x)))
            return
        lost = call.lost_the_batch()
        reason = "its consumer's input is computed from no sample"
        if where or lost is not None:
            reason = f"the batch axis is lost before a consumer ({lost or 'several axes have it'})"
        call.classes.refuse([summed], reason)

    def _record(self, call: Call, filters: Filters, out: Axis) -> None:
        name = filters.module or self._tensor_names.get(filters.node.name, call.node.name).removesuffix(".weight")
        output_shape = call.source.meta["val"].shape if filters.transposed else call.shape
        macs = math.prod(filters.shape[1:]) * math.prod(output_shape) // call.batch_size
        in_axis = filters.summed if filters.groups == 1 else ()  # the width of a group is the same in every subnet
        widths = int(filters.in_width), int(filters.out_width)
        self.calls.append(LayerCall(name, _single(in_axis), _single(out), *widths, macs))

    def _module(self, call: Call, weight_node: Node) -> str | None:
        """Path of the layer, if the weight is its own and what it contracts is the input it was called with."""
        path = innermost(call.node)
        layer = self._modules.get(path)
        if not isinstance(layer, LAYER_TYPES) or not self._is_own(weight_node, path, layer):
            return None
        source: object = call.source
        while isinstance(source, Node) and "pad" in str(source.target):  # a "same" convolution pads inside
            source = source.args[0]
        if isinstance(source, Node) and innermost(source) == path:
            return None
        path_of_layer: str = self._first_path[id(layer)]
        return path_of_layer

    def _is_own(self, weight_node: Node, path: str, layer: nn.Module) -> bool:
        """Stored as the layer's weight, by this name or another, or computed by the layer's own parametrisation."""
        tensor = self._tensor_names.get(weight_node.name)
        if parametrize.is_parametrized(layer, "weight"):
            return innermost(weight_node).startswith(f"{path}.parametrizations.weight")
        owner, _, attribute = (tensor or "").rpartition(".")
        return attribute == "weight" and getattr(self._modules[owner], "weight", None) is layer.weight


def _single(axis: Axis) -> int | None:
    return axis[0] if len(axis) == 1 else None
