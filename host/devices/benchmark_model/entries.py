"""What a .tflite file can be asked for: its signatures, and the inputs of each. The tool does not tell."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from edgewright.device_agent.runtimes.base import Call, CallRefused, TensorSpec, check_shapes

_MOST = 10_000
"""More signatures or inputs than this are a damaged file."""


@dataclass(frozen=True)
class Entry:
    """One graph of a model: its inputs, and their tensors' names in the same order; `signatures` are the model's."""

    signature: str | None
    inputs: tuple[TensorSpec, ...]
    tensors: tuple[str, ...]
    signatures: tuple[str, ...] = ()

    def shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """What the inputs have when the graph is called so; 1 for any size."""
        declared = {spec.name: tuple(max(1, size) for size in spec.declared) for spec in self.inputs}
        return {**declared, **call.shapes}

    def told(self, call: Call) -> dict[str, Any]:
        """The signature and shapes that were run, in the format of `device_agent.measure`."""
        return {
            "signature": self.signature,
            "signatures": list(self.signatures),
            "shapes": {name: list(shape) for name, shape in self.shapes(call).items()},
            "any_size": {spec.name: list(spec.takes) for spec in self.inputs if spec.takes is not None},
        }


def chosen_entry(content: bytes, call: Call) -> Entry:
    """What `call` asks for, or the first graph; one without inputs for a file that cannot be read, since the tool
    itself says what is wrong with that. Raises `CallRefused`."""
    try:
        entries = list(_entries(content))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, struct.error):
        return Entry(None, (), ())
    names = tuple(entry.signature for entry in entries if entry.signature is not None)
    wanted = entries[0] if call.signature is None else next((e for e in entries if e.signature == call.signature), None)
    if wanted is None:
        known = ", ".join(map(repr, names)) or "none"
        raise CallRefused(f"the model has no signature {call.signature!r}; it has: {known}")
    check_shapes(call, wanted.inputs)
    return replace(wanted, signatures=names)


def _entries(content: bytes) -> Iterator[Entry]:
    """The first graph, under its signature's name where it has one, then the other signatures."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    signatures = [model.SignatureDefs(index) for index in range(_bounded(model.SignatureDefsLength()))]
    first = next((each for each in signatures if each.SubgraphIndex() == 0), None)
    yield _entry(model.Subgraphs(0), first)
    for each in signatures:
        if each is not first:
            yield _entry(model.Subgraphs(each.SubgraphIndex()), each)


def _entry(graph: Any, signature: Any) -> Entry:
    if signature is None:
        tensors = [graph.Tensors(graph.Inputs(index)) for index in range(_bounded(graph.InputsLength()))]
        names = [tensor.Name().decode() for tensor in tensors]
        return Entry(None, tuple(map(_spec, names, tensors)), tuple(names))
    inputs = [signature.Inputs(index) for index in range(_bounded(signature.InputsLength()))]
    named = {each.Name().decode(): graph.Tensors(each.TensorIndex()) for each in inputs}
    ordered = sorted(named)  # as the tool orders the inputs of a signature
    if signature.SubgraphIndex() == 0:  # which the tool calls by its tensors, in the graph's order
        name_of = {each.TensorIndex(): each.Name().decode() for each in inputs}
        ordered = [name_of[graph.Inputs(index)] for index in range(_bounded(graph.InputsLength()))]
    specs = tuple(_spec(name, named[name]) for name in ordered)
    return Entry(signature.SignatureKey().decode(), specs, tuple(named[name].Name().decode() for name in ordered))


def _spec(name: str, tensor: Any) -> TensorSpec:
    shape = _sizes(tensor.ShapeLength(), tensor.Shape)
    declared = _sizes(tensor.ShapeSignatureLength(), tensor.ShapeSignature)
    takes = declared if len(declared) == len(shape) and -1 in declared else None
    return TensorSpec(name, shape, _dtype(tensor.Type()), takes)


def _sizes(length: int, size: Any) -> tuple[int, ...]:
    return tuple(int(size(index)) for index in range(_bounded(length)))


def _bounded(length: int) -> int:
    if not 0 <= length <= _MOST:
        raise ValueError(f"{length} entries")
    return length


def _dtype(kind: int) -> np.dtype[Any]:
    from ai_edge_litert import schema_py_generated as schema

    names: Mapping[int, str] = {code: name for name, code in vars(schema.TensorType).items() if isinstance(code, int)}
    try:
        return np.dtype(names[kind].lower())
    except TypeError:  # int4, bfloat16 and others that numpy does not have
        return np.dtype("V1")
