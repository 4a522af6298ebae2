"""The first planner: follows every site's channels through the operators of the converted supernet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from edgewright.device_agent.template import TemplateSite

from .axes import Axis, Segment
from .axis_rules import apply_rule
from .errors import ConversionError
from .flatbuffer import Graph
from .seeds import producer_of
from .slice_plan import Runs, SlicePlan, sites_of
from .tensor_axes import Owners, TensorAxes

Key = TypeVar("Key")


def plan_by_union(graph: Graph, sites: Sequence[TemplateSite], producers: Mapping[str, Sequence[int]]) -> SlicePlan:
    """Slice everything that is tied to a site's channels in its producer's output.

    Args:
        producers: per site, the operators whose outputs carry its channels: the calls of one layer.

    Raises:
        ConversionError: a site reaches an axis that must stay whole, or two sites are tied; names them.
    """
    axes = TensorAxes(graph)
    for tensor in graph.boundary:
        axes.relations.refuse(axes.of(tensor), "its channels reach the model's input or output")
    for operator in graph.operators:
        apply_rule(axes, operator)
    for calls in producers.values():
        _join_calls(axes, calls)
    axes.relations.settle()
    owners = _owners(axes, sites, producers)
    return SlicePlan(
        axes=_followed(axes, owners, dict(axes.named)),
        extents=_followed(axes, owners, axes.extents),
        options=_followed(axes, owners, axes.options),
    )


def _join_calls(axes: TensorAxes, calls: Sequence[int]) -> None:
    """Tie the outputs of all calls of a layer, since they are the same channels even if no operator joins them."""
    first, *others = (_made(axes, call) for call in calls)
    for other in others:
        axes.relations.join(first, other)


def _made(axes: TensorAxes, producer: int) -> Axis:
    return axes.of(axes.graph.operators[producer].outputs[0])[-1]


def _followed(axes: TensorAxes, owners: Owners, axis_of: Mapping[Key, Axis]) -> dict[Key, Runs]:
    runs = {key: axes.runs(axis, owners) for key, axis in axis_of.items()}
    return {key: each for key, each in runs.items() if sites_of(each)}


def _owners(axes: TensorAxes, sites: Sequence[TemplateSite], producers: Mapping[str, Sequence[int]]) -> Owners:
    owners: dict[int, tuple[str, int]] = {}
    for site in sites:
        segment = _segment(axes, site, producers[site.name][0])
        if segment.leaf in owners:
            raise ConversionError(
                f"sites {owners[segment.leaf][0]!r} and {site.name!r} share their channels; gate them as one site"
            )
        if site.block % segment.block:
            raise ConversionError(
                f"site {site.name!r} cannot be sliced: its modules have {site.block} channels, but the groups that it "
                f"reaches have {segment.block}; use a multiple of {segment.block} or leave this site ungated"
            )
        owners[segment.leaf] = site.name, site.block // segment.block
    return owners


def _segment(axes: TensorAxes, site: TemplateSite, producer: int) -> Segment:
    """The site's channels in its producer's output. They must be one leaf that may be sliced."""
    start = producer_of(site.name)[1]
    segments = [segment for factor in _made(axes, producer) for segment in axes.relations.segments(factor)]
    segment = next((segment for segment in segments if segment.offset == start), None)
    reasons = [] if segment is None else sorted(axes.relations.get(segment.leaf).reasons)
    if reasons:
        raise ConversionError(f"site {site.name!r} cannot be sliced: {reasons[0]}; leave this site ungated")
    length = 0 if segment is None else axes.relations.size[segment.leaf] * segment.block
    if segment is None or length != site.width * site.block:
        raise ConversionError(
            f"site {site.name!r}: its producer has {length} channels, not {site.width} modules of {site.block}"
        )
    return segment
