"""From a backbone's `torch.export` graph to its plan: walk the graph with the rules, then turn classes into sites."""

from __future__ import annotations

import hashlib
import json
import operator
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node

from ..errors import InputError
from ..gates import Layer
from .axes import Axes, AxisClass, AxisClasses
from .contraction import OPS, Contractions
from .extraction import tensors_of
from .plan import Consumer, GroupedLayer, RefusedClass, SitePlan, SupernetPlan, TensorSlice
from .rules import RULES, Call, Result, no_rule

Policy = Literal["single", "coupled"]
MIN_UNITS = 2


def analyse(backbone: nn.Module, example: Tensor, policy: Policy = "single") -> SupernetPlan:
    """The plan of a backbone, not yet checked by numbers. Weights, buffers and training modes stay as they are.

    Raises:
        InputError: the example has no batch to follow, or the backbone cannot be exported as one graph.
    """
    if policy not in ("single", "coupled"):
        raise InputError(f"policy must be 'single' or 'coupled', got {policy!r}")
    if example.dim() < 2 or example.shape[0] < 2:
        raise InputError(f"the example needs a batch of at least 2, got shape {tuple(example.shape)}")
    walk = _Walk(backbone, _export(backbone, example), example.shape[0])
    sites, site_of, refused = _sites(walk, policy)
    return SupernetPlan(tuple(sites), _layers(walk, site_of), tuple(refused), backbone_digest(backbone))


def backbone_digest(backbone: nn.Module) -> str:
    """Over the names and shapes of all parameters and buffers."""
    shapes = {name: list(tensor.shape) for name, tensor in tensors_of(backbone).items()}
    return hashlib.sha256(json.dumps(shapes, sort_keys=True).encode()).hexdigest()[:16]


def _export(backbone: nn.Module, example: Tensor) -> ExportedProgram:
    modes = {module: module.training for module in backbone.modules()}
    backbone.eval()
    try:
        with torch.no_grad():
            return torch.export.export(backbone, (example,))
    except RuntimeError as error:
        first_line = str(error).strip().partition("\n")[0]
        raise InputError(
            f"{type(backbone).__name__} cannot be exported for an input {tuple(example.shape)}: {first_line}"
        ) from error
    finally:
        for module, training in modes.items():  # not .train(), which would override submodules
            module.training = training


class _Walk:
    """One pass over the graph: the classes of axes, and the calls of layers."""

    def __init__(self, backbone: nn.Module, program: ExportedProgram, batch_size: int) -> None:
        signature = program.graph_signature
        self._inputs = set(signature.user_inputs)
        self._tensor_names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self.classes = AxisClasses()
        self.batch_size = batch_size
        self.batch = self.classes.new(batch_size)
        self.contractions = Contractions(backbone, self._tensor_names)
        self._axes_of: dict[Node, Result] = {}
        for order, node in enumerate(program.graph.nodes):
            self._visit(node, order)

    def _visit(self, node: Node, order: int) -> None:
        if node.op == "placeholder":
            if isinstance(node.meta.get("val"), Tensor):
                self._axes_of[node] = self._placeholder(node)
        elif node.op == "output":
            self._output(node)
        elif node.target is operator.getitem:
            source, index = node.args
            assert isinstance(source, Node) and isinstance(index, int)  # the form of every getitem in an exported graph
            axes = self._axes_of[source]
            self._axes_of[node] = axes[index] if isinstance(axes, tuple) else axes
        elif node.op == "call_function":
            self._axes_of[node] = self._call(node, order)

    def _placeholder(self, node: Node) -> Axes:
        shape = node.meta["val"].shape
        name = self._tensor_names.get(node.name)
        if name is not None:
            return self.classes.of_tensor(name, shape)
        if node.name in self._inputs:
            return [(self.batch,), *self.classes.fresh(shape[1:], "model input")]
        return self.classes.fresh(shape, "constant tensor")

    def _output(self, node: Node) -> None:
        for source in node.all_input_nodes:
            axes = self._axes_of[source]
            for each in axes if isinstance(axes, tuple) else (axes,):
                self.classes.refuse([axis for axis in each if axis != (self.batch,)], "model output")

    def _call(self, node: Node, order: int) -> Result:
        schema = getattr(node.target, "_schema", None)
        if schema is None:  # a higher-order operation
            op, args = str(node.target), {}
        else:
            op = schema.name.split("::")[1].rstrip("_")  # in place or not is the same to axes
            args = {argument.name: argument.default_value for argument in schema.arguments}
            args.update(zip(args, node.args, strict=False))
            args.update(node.kwargs)
        call = Call(node, op, args, self.classes, self._axes_of, self.batch, self.batch_size, order)
        if op in OPS:
            return self.contractions.rule(call)
        return RULES.get(op, no_rule)(call)


def _sites(walk: _Walk, policy: Policy) -> tuple[list[SitePlan], dict[int, str], list[RefusedClass]]:
    """Sites in the order of their first producer, the site of each class, and what was refused."""
    classes = walk.classes
    roots = [root for root in classes.roots() if classes.get(root).producers]
    roots.sort(key=lambda root: min(classes.get(root).producers.values()))
    sites: list[SitePlan] = []
    site_of: dict[int, str] = {}
    refused: list[RefusedClass] = []
    for root in roots:
        found, size = classes.get(root), classes.size[root]
        reasons = _reasons(found, size, policy)
        if root == classes.find(walk.batch):
            reasons.add("mixed with the batch axis")
        if reasons:
            refused.append(RefusedClass(_producers(found), size, tuple(sorted(reasons))))
        else:
            sites.append(_site(found, size))
            site_of[root] = sites[-1].name
    return sites, site_of, refused


def _producers(found: AxisClass) -> tuple[str, ...]:
    return tuple(sorted(found.producers, key=lambda name: found.producers[name]))


def _reasons(found: AxisClass, size: int, policy: Policy) -> set[str]:
    reasons = set(found.reasons)
    if policy == "single" and len(set(found.producers) - found.secondary) > 1:
        reasons.add("several producers (residual sum or shared consumer); policy 'coupled' gates them together")
    if not found.consumers:
        reasons.add("no consumer sums over it")
    if size // found.block < MIN_UNITS:
        reasons.add(f"fewer than {MIN_UNITS} units")
    return reasons


def _site(found: AxisClass, size: int) -> SitePlan:
    producers = _producers(found)
    return SitePlan(
        name=producers[0],
        width=size // found.block,
        block=found.block,
        producers=producers,
        consumers=tuple(Consumer(module, *layout) for module, layout in found.consumers.items()),
        slices=tuple(TensorSlice(tensor, axis) for tensor, axis in sorted(found.members)),
        grouped=tuple(GroupedLayer(module, width) for module, width in sorted(found.grouped.items())),
    )


def _layers(walk: _Walk, site_of: dict[int, str]) -> tuple[Layer, ...]:
    """One entry per layer; a layer called several times has the MACs of all its calls."""
    layers: dict[str, Layer] = {}

    def site(factor: int | None) -> str | None:
        return None if factor is None else site_of.get(walk.classes.find(factor))

    for call in walk.contractions.calls:
        known = layers.get(call.name)
        if known is not None:
            layers[call.name] = replace(known, macs=known.macs + call.macs)
            continue
        in_site, out_site = site(call.in_factor), site(call.out_factor)
        layers[call.name] = Layer(call.name, in_site, out_site, call.in_width, call.out_width, call.macs)
    return tuple(layers.values())
