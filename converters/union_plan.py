"""The first planner: follow every site's channels through the operators of the converted supernet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgewright.device_agent.template import TemplateSite

from .axis_classes import Axis, AxisClasses
from .axis_rules import apply_rule
from .errors import ConversionError
from .flatbuffer import Graph
from .slice_plan import SlicePlan


def plan_by_union(graph: Graph, sites: Sequence[TemplateSite], producers: Mapping[str, int]) -> SlicePlan:
    """Slice what hangs together with the last axis of every site's producer.

    Args:
        producers: per site, the operator whose output carries its channels.

    Raises:
        ConversionError: a site reaches an axis that must stay whole, or two sites are tied; names them.
    """
    classes = AxisClasses(graph)
    for operator in graph.operators:
        apply_rule(classes, operator)
    for tensor in graph.boundary:
        classes.fix_all(tensor, "the model's input or output")
    owners = _owners(classes, sites, producers)
    _refuse_fixed(classes, owners)
    _refuse_granules(classes, owners, {site.name: site.block for site in sites})
    return SlicePlan(
        axes={axis: owners[classes.find(axis)] for axis in classes.axes if classes.find(axis) in owners},
        extents={key: owners[classes.find(axis)] for key, axis in classes.extents if classes.find(axis) in owners},
        options={key: owners[classes.find(axis)] for key, axis in classes.options if classes.find(axis) in owners},
    )


def _owners(classes: AxisClasses, sites: Sequence[TemplateSite], producers: Mapping[str, int]) -> dict[Axis, str]:
    """Representative of a class -> the site it belongs to."""
    owners: dict[Axis, str] = {}
    for site in sites:
        output = classes.graph.operators[producers[site.name]].outputs[0]
        length = classes.length(output, -1)
        if length != site.width * site.block:
            raise ConversionError(
                f"site {site.name!r}: its producer has {length} channels, not {site.width} modules of {site.block}"
            )
        root = classes.find(classes.axis(output, -1))
        if root in owners:
            raise ConversionError(
                f"sites {owners[root]!r} and {site.name!r} share their channels; gate them as one site"
            )
        owners[root] = site.name
    return owners


def _refuse_fixed(classes: AxisClasses, owners: Mapping[Axis, str]) -> None:
    for axis, why in classes.fixed.items():
        if classes.find(axis) in owners:
            site = owners[classes.find(axis)]
            raise ConversionError(f"site {site!r} cannot be sliced: its channels reach {why}; leave this site ungated")


def _refuse_granules(classes: AxisClasses, owners: Mapping[Axis, str], blocks: Mapping[str, int]) -> None:
    for axis, n_channels, why in classes.granules:
        site = owners.get(classes.find(axis))
        if site is not None and blocks[site] % n_channels:
            raise ConversionError(
                f"site {site!r} cannot be sliced: its modules have {blocks[site]} channels, but {why} have "
                f"{n_channels}; use a multiple of {n_channels} or leave this site ungated"
            )
