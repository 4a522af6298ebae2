"""The rule of convolutions and linear layers, the only operations that sum over channels: producers and consumers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgewright.converters.axes import Axes, Axis
from torch import nn
from torch.fx import Node

from .calls import Call, innermost
from .uses import Grouping, Uses

OPS = ("conv1d", "conv2d", "conv3d", "linear")
LAYER_TYPES = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


@dataclass(frozen=True)
class LayerCall:
    """One call of a conv or linear, for the list of layers. `macs` per sample; None: no gate changes that side."""

    name: str
    in_factor: int | None
    out_factor: int | None
    in_width: int
    out_width: int
    macs: int


class Contractions:
    """Applies the rule, and keeps the calls it saw."""

    def __init__(self, model: nn.Module, tensor_names: dict[str, str], uses: Uses) -> None:
        self.calls: list[LayerCall] = []
        self._uses = uses
        self._tensor_names = tensor_names  # graph input -> parameter or buffer
        self._modules: dict[str, nn.Module] = dict(model.named_modules(remove_duplicate=False))
        self._first_path: dict[int, str] = {id(module): path for path, module in model.named_modules()}

    def rule(self, call: Call) -> Axes:
        weight_node: Node = call.args["weight"]
        weight, x = call.axes(weight_node), call.x
        channel = len(x) - 1 if call.op == "linear" else len(x) - (len(weight) - 2) - 1
        groups = call.args.get("groups", 1)
        module = self._module(call, weight_node)
        self._record(call, weight_node, module, weight, groups)
        if call.op != "linear":
            call.classes.refuse(x[channel + 1 :], "spatial axis of a convolution")
        out = self._relate(call, module, weight, x, channel, groups)
        bias = call.args.get("bias")
        if isinstance(bias, Node):
            call.classes.join(out, call.axes(bias)[0])
        tail = [] if call.op == "linear" else call.classes.fresh(call.shape[channel + 1 :], "spatial axis")
        return [*x[:channel], out, *tail]

    def _relate(self, call: Call, module: str | None, weight: Axes, x: Axes, channel: int, groups: int) -> Axis:
        """Relate input channels, weight and output channels; the axis of the output channels."""
        out_width, in_width = call.args["weight"].meta["val"].shape[:2]
        if module is None:
            reason = f"{call.op} whose weight is not applied by its own layer to the layer's input"
            call.classes.refuse([x[channel], *weight], reason)
            return call.classes.fresh([out_width], reason)[0]
        if groups == 1:
            self._contract(call, module, weight, x, channel)
            if weight[0]:
                self._uses.produce(call.classes, weight[0][0], module, call.order)
        else:
            self._group(call, module, weight, x[channel], groups)
        return weight[0]

    def _group(self, call: Call, module: str, weight: Axes, channels: Axis, groups: int) -> None:
        """Input and output channels are runs of the same groups."""
        out_width, in_width = call.args["weight"].meta["val"].shape[:2]
        out_per_group = out_width // groups
        units = call.classes.new(groups)
        call.classes.join(channels, (call.classes.scale(units, in_width),))
        call.classes.join(weight[0], (call.classes.scale(units, out_per_group),))
        call.classes.refuse([weight[1]], "inside a group")
        self._uses.groupings.append(Grouping(weight[0][0], module, out_per_group))

    def _contract(self, call: Call, module: str, weight: Axes, x: Axes, channel: int) -> None:
        if not weight[1]:
            return
        call.classes.join(x[channel], weight[1])
        batch = call.classes.find(call.batch)
        where = [i for i, axis in enumerate(x) if axis and call.classes.find(axis[0]) == batch]
        if len(where) == 1:
            self._uses.consume(call.classes, weight[1][0], module, (where[0], channel - len(x)))
        else:
            call.classes.refuse([weight[1]], "the batch axis is lost before a consumer")

    def _record(self, call: Call, weight_node: Node, module: str | None, weight: Axes, groups: int) -> None:
        shape = weight_node.meta["val"].shape
        name = module or self._tensor_names.get(weight_node.name, call.node.name).removesuffix(".weight")
        macs = math.prod(shape[1:]) * math.prod(call.shape) // call.batch_size
        in_axis = weight[1] if groups == 1 else ()  # the width of a group is the same in every subnet
        self.calls.append(LayerCall(name, _single(in_axis), _single(weight[0]), int(shape[1]), int(shape[0]), macs))

    def _module(self, call: Call, weight_node: Node) -> str | None:
        """Path of the layer, if the weight is its own and what it contracts is the input it was called with."""
        tensor = self._tensor_names.get(weight_node.name)
        path = innermost(call.node)
        layer = self._modules.get(path)
        if tensor is None or not isinstance(layer, LAYER_TYPES):
            return None
        owner, _, attribute = tensor.rpartition(".")
        if attribute != "weight" or getattr(self._modules[owner], "weight", None) is not layer.weight:
            return None
        source: object = call.source
        while isinstance(source, Node) and "pad" in str(source.target):  # a "same" convolution pads inside
            source = source.args[0]
        if isinstance(source, Node) and innermost(source) == path:
            return None
        path_of_layer: str = self._first_path[id(layer)]
        return path_of_layer


def _single(axis: Axis) -> int | None:
    return axis[0] if len(axis) == 1 else None
