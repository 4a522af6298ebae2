"""The second planner: converts a few pruned subnets, the probes, and observes which lengths change.

It knows almost nothing about operators, so it shares no mistakes with the first planner. At every site, the probes keep
a number of modules that no other site of the same width keeps, so each changed length identifies its site.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from edgewright.device_agent.template import TemplateSite
from numpy.typing import NDArray

from .errors import ConversionError
from .flatbuffer import INTEGER_TYPES, Graph, Operator
from .slice_plan import Counts, Lengths

MAX_PROBES = 3  # each costs a conversion
CONSTANT_RTOL = 1e-5  # folding may round differently in a narrower network; a wrong channel differs by its whole value

# Operators with lengths among their constants. A list, because an int32 bias would look the same.
_SHAPE_OPERATORS = {"RESHAPE", "SLICE", "STRIDED_SLICE", "BROADCAST_TO", "FILL", "SPLIT_V", "TRANSPOSE_CONV"}


def probe_counts(sites: Sequence[TemplateSite]) -> tuple[Counts, ...]:
    """How many modules each probe keeps at each site, with the fewest probes that tell all sites apart.

    Raises:
        ConversionError: a site is too narrow, or too many sites have the same width.
    """
    for n_probes in range(1, MAX_PROBES + 1):
        codes = _codes(sites, n_probes)
        if len(codes) == len(sites):
            return tuple({name: code[probe] for name, code in codes.items()} for probe in range(n_probes))
    site = next(site for site in sites if site.name not in codes)
    raise ConversionError(
        f"site {site.name!r} cannot be told apart from the other sites of {site.width} x {site.block} channels "
        f"by {MAX_PROBES} probe conversions; leave it ungated"
    )


def _codes(sites: Sequence[TemplateSite], n_probes: int) -> dict[str, tuple[int, ...]]:
    """Kept modules per probe, for as many sites as there are distinct codes."""
    used: set[tuple[int, ...]] = set()
    codes: dict[str, tuple[int, ...]] = {}
    for site in sites:
        # For a single channel or a single head, the converter would choose other operators.
        fewest = 1 if site.block > 1 and site.width == 2 else 2
        for code in product(range(site.width, fewest - 1, -1), repeat=n_probes):
            lengths = (site.width * site.block, *(kept * site.block for kept in code))
            if set(lengths) != {lengths[0]} and lengths not in used:
                used.add(lengths)
                codes[site.name] = code
                break
    return codes


def plan_by_probes(graph: Graph, probes: Sequence[Graph]) -> Lengths:
    """Compare the converted supernet, operator by operator, with converted probes of `probe_counts(sites)`.

    Raises:
        ConversionError: the converter built a probe differently.
    """
    axes, extents, options = {}, {}, {}
    for operator, others in _side_by_side(graph, probes):
        tensors = zip(operator.inputs + operator.outputs, *(o.inputs + o.outputs for o in others), strict=True)
        for tensor, *mates in tensors:
            shapes = [graph.shape(tensor), *(probe.shape(mate) for probe, mate in zip(probes, mates, strict=True))]
            for axis, lengths in _changes(operator, shapes):
                axes[tensor, axis] = lengths
            if _holds_lengths(graph, operator, tensor):
                values = [graph.value(tensor), *(p.value(mate) for p, mate in zip(probes, mates, strict=True))]
                for position, lengths in _changes(operator, [value.ravel().tolist() for value in values]):
                    extents[tensor, position] = lengths
        for field, lengths in _changed_options(operator, others):
            options[operator.index, field] = lengths
    return Lengths(axes, extents, options)


def check_constants(emitted: Graph, probe: Graph) -> None:
    """Check that a sliced subnet has the same constants as the converter's own file of that subnet.

    Raises:
        ConversionError: a constant differs; names the tensor.
    """
    for operator, (mate,) in _side_by_side(emitted, [probe]):
        for ours, theirs in zip(operator.inputs, mate.inputs, strict=True):
            if emitted.is_constant(ours) != probe.is_constant(theirs) or not (
                not emitted.is_constant(ours) or _same(emitted.value(ours), probe.value(theirs))
            ):
                raise ConversionError(
                    f"tensor {emitted.name(ours)!r} of {operator}, sliced, differs from the converted "
                    f"pruned network; does `extract` keep exactly the open modules?"
                )


def _same(ours: NDArray[Any], theirs: NDArray[Any]) -> bool:
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return False
    if not np.issubdtype(ours.dtype, np.floating):
        return bool(np.array_equal(ours, theirs))
    scale = float(np.abs(theirs[np.isfinite(theirs)]).max(initial=0))  # a max-pool pads with -inf
    return bool(np.allclose(ours, theirs, rtol=CONSTANT_RTOL, atol=CONSTANT_RTOL * scale))


def _side_by_side(graph: Graph, probes: Sequence[Graph]) -> Iterator[tuple[Operator, list[Operator]]]:
    names = [operator.name for operator in graph.operators]
    for probe in probes:
        others = [operator.name for operator in probe.operators]
        if names != others:
            index = next((i for i, (a, b) in enumerate(zip(names, others, strict=False)) if a != b), len(names))
            raise ConversionError(
                f"the converter built a pruned subnet differently from the supernet, first at operator {index} of "
                f"{len(names)} and {len(others)}; does `extract` change anything but widths?"
            )
    for operator, *mates in zip(graph.operators, *(probe.operators for probe in probes), strict=True):
        yield operator, mates


def _holds_lengths(graph: Graph, operator: Operator, tensor: int) -> bool:
    return operator.name in _SHAPE_OPERATORS and graph.is_constant(tensor) and graph.dtype(tensor) in INTEGER_TYPES


def _changes(operator: Operator, rows: Sequence[Sequence[int]]) -> Iterator[tuple[int, tuple[int, ...]]]:
    if len({len(row) for row in rows}) != 1:
        raise ConversionError(f"the converter gave {operator} tensors of another rank in a pruned subnet")
    for position, values in enumerate(zip(*rows, strict=True)):
        if len(set(values)) > 1:
            yield position, values


def _changed_options(operator: Operator, others: Sequence[Operator]) -> Iterator[tuple[str, tuple[int, ...]]]:
    for field, value in vars(operator.options).items() if operator.options is not None else ():
        values = (value, *(getattr(other.options, field) for other in others))
        if all(isinstance(item, int) for item in values) and len(set(values)) > 1:
            yield field, values
