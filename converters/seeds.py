"""Finds the operators of a converted model that produce a site's channels, by the weights they hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from edgewright.device_agent.template import TemplateSite
from numpy.typing import NDArray
from torch import Tensor, nn

from .errors import ConversionError
from .flatbuffer import Graph, Operator

# A folded normalisation scales each output channel of a filter, but keeps its direction.
MIN_COSINE = 1 - 1e-4

_PART = re.compile(r"(.+)\[(\d+):\d+\]")
_PRODUCERS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}


def find_producers(graph: Graph, module: nn.Module, sites: Sequence[TemplateSite]) -> dict[str, tuple[int, ...]]:
    """Per site, the indices of the operators that are its producer, the submodule that the site is named after.

    A layer that is called several times is one operator per call, each with its own copy of the weights, scaled by the
    normalisation after that call.

    Searches by value, since the name of a tensor contains the paths of all modules that were fused or merged into it.
    Names decide between layers with equal filters.

    Raises:
        ConversionError: no operator holds the producer's weights, or more operators than calls do; names the site.
    """
    names = {site.name: producer_of(site.name)[0] for site in sites}
    held = {name: _holders(graph, module, name) for name in names.values()}
    crowded = {name for name, operators in held.items() if len(operators) > 1}
    paths = call_paths(module, torch.zeros(graph.shape(graph.boundary[0]))) if crowded else {}
    for name in crowded:
        held[name] = _named(graph, name, held[name], paths.get(name, []))
    return {site: tuple(operator.index for operator in held[name]) for site, name in names.items()}


def _holders(graph: Graph, module: nn.Module, name: str) -> list[Operator]:
    rows = _module_rows(module, name)
    holders = [operator for operator in graph.operators if _holds(graph, operator, rows)]
    if not holders:
        holders = [operator for operator in graph.operators if _holds(graph, operator, rows, scaled_inputs=True)]
    if not holders:
        raise ConversionError(
            f"site {name!r}: no operator of the converted model holds its weights; a branch that ends in a "
            f"normalisation of weight zero is dropped by the converter, so train or randomise the model first"
        )
    return holders


def _named(graph: Graph, name: str, held: Sequence[Operator], paths: Sequence[str]) -> list[Operator]:
    """The calls of a layer, among the operators that hold its weights. Calls with equal inputs are one operator."""
    holders = [operator for operator in held if not _paths(graph, operator).isdisjoint(paths)]
    if not 0 < len(holders) <= len(paths):
        raise ConversionError(
            f"site {name!r}: {len(held)} operators hold its weights, {len(holders)} of them have its name, but it is "
            f"called {len(paths)} times; do other layers have the same filters?"
        )
    return holders


def producer_of(name: str) -> tuple[str, int]:
    """The name of a site's producer, and the first of the producer's channels that belong to the site.

    `conv[16:48]` is part of a producer that also makes the channels of other sites.
    """
    match = _PART.fullmatch(name)
    return (name, 0) if match is None else (match[1], int(match[2]))


def call_paths(module: nn.Module, example: Tensor) -> Mapping[str, Sequence[str]]:
    """Per submodule, the path by which the converter names the tensors of each of its calls.

    A path has the type and attribute of every module being called, but not of containers such as lists.
    """
    paths: dict[str, list[str]] = {}
    running: list[str] = []

    def enter(name: str, layer: nn.Module, _: Any) -> None:
        attribute = name.rpartition(".")[2]
        running.append(f"{_type_name(layer)}_{attribute}" if name else _type_name(layer))
        paths.setdefault(name, []).append("/".join(running))

    def leave(*_: Any) -> None:
        running.pop()

    layers = dict(module.named_modules())
    hooks = [layer.register_forward_pre_hook(partial(enter, name)) for name, layer in layers.items()]
    hooks += [layer.register_forward_hook(leave) for layer in layers.values()]
    try:
        with torch.no_grad():
            module(example)
    finally:
        for hook in hooks:
            hook.remove()
    return paths


def _type_name(module: nn.Module) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"


def _paths(graph: Graph, operator: Operator) -> set[str]:
    """The module paths in the name of an operator's output: `path;;path;number`."""
    return {path.split(";")[0] for path in graph.name(operator.outputs[0]).split(";;")}


def _module_rows(module: nn.Module, name: str) -> NDArray[Any]:
    """The filters of a convolution or linear layer, one row per output channel, in TFLite's order."""
    try:
        layer = module.get_submodule(name)
        weight: Any = layer.weight
    except AttributeError as error:
        raise ConversionError(f"site {name!r} names no layer with weights of {type(module).__name__}") from error
    if weight.ndim not in (2, 4):
        raise ConversionError(f"site {name!r}: its producer has weights of {weight.ndim} axes; 2 and 4 are supported")
    value: NDArray[Any] = weight.detach().cpu().numpy()
    if isinstance(layer, nn.ConvTranspose2d):
        value = value.transpose(1, 2, 3, 0)  # (I, O, kh, kw) -> (O, kh, kw, I)
    elif value.ndim == 4:
        value = value.transpose(0, 2, 3, 1)  # (O, I, kh, kw) -> (O, kh, kw, I)
    return value.reshape(len(value), -1)


def _holds(graph: Graph, operator: Operator, rows: NDArray[Any], scaled_inputs: bool = False) -> bool:
    if operator.name not in _PRODUCERS or not graph.is_constant(operator.inputs[1]):
        return False
    value = graph.value(operator.inputs[1])
    if operator.name == "DEPTHWISE_CONV_2D":
        value = np.moveaxis(value, -1, 0)  # (1, kh, kw, C) -> (C, 1, kh, kw)
    value = value.reshape(len(value), -1)
    if value.shape != rows.shape:
        return False
    return _parallel(value, rows * _input_scales(value, rows) if scaled_inputs else rows)


def _input_scales(value: NDArray[Any], rows: NDArray[Any]) -> NDArray[Any]:
    """The factor per input, `(K,)`, by which a folded layer norm scales the weights, computed from one row.

    Uses the row with the largest minimum, to avoid dividing by values near zero; all other rows must agree with it.
    """
    best = int(np.abs(rows).min(axis=1).argmax())
    safe = np.where(rows[best] == 0, 1.0, rows[best])
    scales: NDArray[Any] = value[best].astype(np.float64) / safe
    return scales


def _parallel(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether each row of `a` is a multiple of that row of `b`. A row of zeros always is, but not all may be zero."""
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)  # (O,)
    live = norms > 0
    dots = np.abs(np.einsum("ok,ok->o", a, b))
    return bool(live.any() and (dots[live] >= MIN_COSINE * norms[live]).all())
