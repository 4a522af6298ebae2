"""From a backbone's `torch.export` graph to its plan: walk the graph with the rules, then turn classes into sites."""

from __future__ import annotations

import hashlib
import io
import json
import operator
import re
import traceback
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any, get_args

import torch
from edgewright.converters.axes import Axes
from edgewright.converters.reshaping import AxisRelations
from edgewright.converters.torch_to_tflite import silenced
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from ...errors import InputError
from ..extraction import tensors_of
from ..plan import SupernetPlan
from .calls import Call, Result, op_name
from .contraction import OPS, Contractions
from .rules import apply_rule
from .sites import Leaves, Policy, layers
from .sizes import StatedSizes
from .uses import Member, Uses


def analyse(backbone: nn.Module, example: Tensor, policy: Policy = "single") -> SupernetPlan:
    """The plan of a backbone, not yet checked by numbers. Weights, buffers and training modes stay as they are.

    Raises:
        InputError: the example has no batch to follow, or the backbone cannot be exported as one graph.
    """
    if policy not in get_args(Policy):
        raise InputError(f"policy must be 'single' or 'coupled', got {policy!r}")
    if example.dim() < 2 or example.shape[0] < 2:
        raise InputError(f"the example needs a batch of at least 2, got shape {tuple(example.shape)}")
    walk = _Walk(backbone, _export(backbone, example), example.shape[0])
    walk.classes.settle()
    sites, refused = Leaves(walk.classes, walk.uses).sites(policy)
    every = layers(walk.classes, walk.contractions.calls, sites)
    return SupernetPlan(tuple(sites.values()), every, tuple(refused), backbone_digest(backbone))


def backbone_digest(backbone: nn.Module) -> str:
    """Over the names and shapes of all parameters and buffers."""
    shapes = {name: list(tensor.shape) for name, tensor in tensors_of(backbone).items()}
    return hashlib.sha256(json.dumps(shapes, sort_keys=True).encode()).hexdigest()[:16]


def _export(backbone: nn.Module, example: Tensor) -> ExportedProgram:
    modes = {module: module.training for module in backbone.modules()}
    backbone.eval()
    try:
        with silenced(), redirect_stderr(io.StringIO()), torch.no_grad(), warnings.catch_warnings():
            # A cache that the model fills while it runs; torch puts the old one back.
            warnings.filterwarnings("ignore", "The tensor attribute", UserWarning)
            return torch.export.export(backbone, (example,))
    except Exception as error:  # the backbone's own code may raise anything
        raise InputError(
            f"{type(backbone).__name__} cannot be exported for an input {tuple(example.shape)}: {_why(error)}"
        ) from error
    finally:
        for module, training in modes.items():  # not .train(), which would override submodules
            module.training = training


def _why(error: Exception) -> str:
    """In one line what went wrong in a backbone, and where in its own code."""
    if isinstance(error, GuardOnDataDependentSymNode):
        where = re.search(r'File "(.+)", line (\d+), in (\w+)\n\s*(.+)', str(error))
        line = "" if where is None else f" at {Path(where[1]).name}:{where[2]}, `{where[4].strip()}`"
        return f"its code branches on values of a tensor{line}; use torch.where or torch.cond there"
    reason = str(error).strip().partition("\n")[0] or "no message"
    own = [each for each in traceback.extract_tb(error.__traceback__) if not _is_of_a_package(each.filename)]
    line = f" (at {Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {reason}{line}"


def _is_of_a_package(filename: str) -> bool:
    """Whether a frame is torch's, another library's or ours, and not the user's own."""
    path = Path(filename)
    return "site-packages" in path.parts or path.is_relative_to(Path(__file__).parents[2]) or not path.exists()


class _Walk:
    """One pass over the graph: the classes of axes, and the calls of layers."""

    def __init__(self, backbone: nn.Module, program: ExportedProgram, batch_size: int) -> None:
        signature = program.graph_signature
        self._inputs = set(signature.user_inputs)
        self._tensor_names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self.classes, self.uses = AxisRelations(), Uses()
        self._batch_size = batch_size
        self._batch = self.classes.new(batch_size, "mixed with the batch axis")
        self._sizes = StatedSizes(backbone, self.classes, self.uses)
        self.contractions = Contractions(backbone, self._tensor_names, self.uses)
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
            return self._tensor(name, shape)
        if node.name in self._inputs:
            return [(self._batch,), *self.classes.fresh(shape[1:], "model input")]
        return self.classes.fresh(shape, "constant tensor")

    def _tensor(self, name: str, shape: Sequence[int]) -> Axes:
        axes = self.classes.fresh(shape)
        self.uses.members += [Member(axis[0], name, i) for i, axis in enumerate(axes) if axis]
        return axes

    def _output(self, node: Node) -> None:
        for source in node.all_input_nodes:
            axes = self._axes_of[source]
            for each in axes if isinstance(axes, tuple) else (axes,):
                self.classes.refuse([axis for axis in each if axis != (self._batch,)], "model output")

    def _call(self, node: Node, order: int) -> Result:
        schema = getattr(node.target, "_schema", None)
        args: dict[str, Any] = {}
        if schema is not None:  # a higher-order operation has none
            args = {argument.name: argument.default_value for argument in schema.arguments}
            args.update(zip(args, node.args, strict=False))
            args.update(node.kwargs)
        op = op_name(node)
        call = Call(node, op, args, self.classes, self._sizes, self._axes_of, self._batch, self._batch_size, order)
        if op in OPS:
            return self.contractions.rule(call)
        return apply_rule(call)
