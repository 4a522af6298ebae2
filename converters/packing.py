"""Packs a graph and its slice plan into a template."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from ai_edge_litert import schema_py_generated as schema
from edgewright.device_agent.template import ALIGNMENT, Constant, Header, Template, TemplateSite
from numpy.typing import NDArray

from .errors import ConversionError
from .flatbuffer import Graph
from .slice_plan import Counts, Runs, SlicePlan, length_of, sites_of

# Offsets of fields in a flatbuffer's vtable are 4 + 2 * the field's number in the schema.
_TENSOR_SHAPE, _TENSOR_SHAPE_SIGNATURE, _BUFFER_DATA = 4, 18, 4
_OPTION_FIELDS = {"depthMultiplier": 10}

_FLOAT32, _INT64 = 0, 4  # TensorType
_CHANNEL_VECTORS = ((8, _FLOAT32), (10, _INT64))  # scales and zero points in a tensor's quantisation


def pack_template(graph: Graph, plan: SlicePlan, sites: Sequence[TemplateSite]) -> Template:
    """Set the constants that follow a site aside, pack the rest, and note the offsets of numbers that follow a site.

    Raises:
        ConversionError: the plan does not fit the graph; names the site.
    """
    index = _Index(sites)
    _check(graph, plan, index.full)
    sliced = sorted({tensor for tensor, _ in plan.axes if graph.is_constant(tensor)})
    scaled = [(tensor, axis) for tensor, axis in sorted(plan.axes) if graph.channel_axis(tensor) == axis]
    structure = graph.pack(sliced, [tensor for tensor, _ in scaled])
    model = schema.Model.GetRootAs(structure, 0)
    weights = bytearray()
    constants, vectors = [], []
    for tensor in sliced:
        axes = range(len(graph.shape(tensor)))
        followed = tuple(index.of(plan.axes[tensor, axis]) if (tensor, axis) in plan.axes else None for axis in axes)
        reference = _field(model.Buffers(graph.buffer(tensor)), _BUFFER_DATA)
        offset = _append(weights, graph.value(tensor))
        constants.append(Constant(reference, offset, graph.dtype(tensor), graph.shape(tensor), followed))
    for tensor, axis in scaled:
        table, site = model.Subgraphs(0).Tensors(tensor).Quantization(), index.of(plan.axes[tensor, axis])
        for (field, dtype), values in zip(_CHANNEL_VECTORS, graph.channel_vectors(tensor), strict=True):
            vectors.append(Constant(_field(table, field), _append(weights, values), dtype, values.shape, (site,)))
    int32, int64 = _length_offsets(graph, plan, model)
    for runs, offset, size in [(r, p, 4) for r, p in int32] + [(r, p, 8) for r, p in int64]:
        _check_length(structure, offset, size, runs, index.full)
    header = Header(
        sites=tuple(sites),
        constants=tuple(constants),
        int32=tuple((offset, index.of(runs)) for runs, offset in int32),
        int64=tuple((offset, index.of(runs)) for runs, offset in int64),
        vectors=tuple(vectors),
        mixed=tuple(index.mixed),
    )
    return Template.seal(header, structure, bytes(weights))


class _Index:
    """The numbering of sites in the header: first the sites, then the mixed axes in order of appearance."""

    def __init__(self, sites: Sequence[TemplateSite]) -> None:
        self.full = {site.name: site.width for site in sites}
        self.mixed: list[tuple[tuple[int | None, int], ...]] = []
        self._sites = {site.name: number for number, site in enumerate(sites)}
        self._blocks = {site.name: site.block for site in sites}

    def of(self, runs: Runs) -> int:
        (first, *rest), names = runs, self._sites
        if not rest and first.site is not None and first.channels == self._blocks[first.site]:
            return names[first.site]
        mixed = tuple((None if run.site is None else names[run.site], run.channels) for run in runs)
        if mixed not in self.mixed:
            self.mixed.append(mixed)
        return len(names) + self.mixed.index(mixed)


def _append(weights: bytearray, values: NDArray[Any]) -> int:
    """Append the values, aligned; return the offset of the first."""
    weights += bytes(-len(weights) % ALIGNMENT)
    offset = len(weights)
    weights += values.tobytes()
    return offset


def _check(graph: Graph, plan: SlicePlan, full: Counts) -> None:
    for (tensor, axis), runs in plan.axes.items():
        length, planned = graph.shape(tensor)[axis], length_of(runs, full)
        if length != planned:
            raise ConversionError(
                f"site {_names(runs)}: axis {axis} of {graph.name(tensor)!r} has {length} channels, not {planned}"
            )
        if not graph.is_plain(tensor):
            raise ConversionError(
                f"site {_names(runs)}: {graph.name(tensor)!r} is sparse or quantised in blocks; use another precision"
            )


def _names(runs: Runs) -> str:
    return ", ".join(repr(name) for name in sites_of(runs))


def _length_offsets(graph: Graph, plan: SlicePlan, model: Any) -> tuple[list[tuple[Runs, int]], list[tuple[Runs, int]]]:
    """Offsets of the 32-bit and the 64-bit numbers in the structure that hold an axis length, each with its runs."""
    int32: list[tuple[Runs, int]] = []
    int64: list[tuple[Runs, int]] = []
    subgraph = model.Subgraphs(0)
    for (tensor, axis), runs in sorted(plan.axes.items()):
        table = subgraph.Tensors(tensor)
        int32.append((runs, _element(table, _TENSOR_SHAPE, axis, 4)))
        if table.ShapeSignatureLength():
            int32.append((runs, _element(table, _TENSOR_SHAPE_SIGNATURE, axis, 4)))
    for (tensor, position), runs in sorted(plan.extents.items()):
        wide = graph.dtype(tensor) == _INT64
        data = model.Buffers(graph.buffer(tensor))
        (int64 if wide else int32).append((runs, _element(data, _BUFFER_DATA, position, 8 if wide else 4)))
    for (operator, field), runs in sorted(plan.options.items()):
        if field not in _OPTION_FIELDS:
            raise ConversionError(f"site {_names(runs)}: cannot slice option {field} of {graph.operators[operator]}")
        int32.append((runs, _field(subgraph.Operators(operator).BuiltinOptions(), _OPTION_FIELDS[field])))
    return int32, int64


def _field(table: Any, field: int) -> int:
    """The offset of a table's field in the flatbuffer."""
    inner = getattr(table, "_tab", table)
    return int(inner.Pos + inner.Offset(field))


def _element(table: Any, field: int, position: int, size: int) -> int:
    """The offset of an element of a table's vector in the flatbuffer."""
    inner = table._tab
    return int(inner.Vector(inner.Offset(field)) + size * position)


def _check_length(structure: bytes, offset: int, size: int, runs: Runs, full: Counts) -> None:
    (held,), length = struct.unpack_from("<i" if size == 4 else "<q", structure, offset), length_of(runs, full)
    if held != length:
        raise ConversionError(f"site {_names(runs)}: expected {length} in the packed model, found {held}")
