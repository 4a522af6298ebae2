"""From the classes of a walked graph to the sites, the layers as a cost sees them, and what was refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from edgewright.converters.axes import Segment
from edgewright.converters.reshaping import AxisRelations

from ...gates import Layer
from ..plan import Consumer, GroupedLayer, RefusedClass, SitePlan, SizeAttribute, TensorSlice
from .contraction import LayerCall
from .uses import Uses

Policy = Literal["single", "coupled"]
MIN_UNITS = 2


@dataclass
class _Found:
    """What is known of one leaf: the parts of a site, as its plan lists them."""

    producers: dict[str, int] = field(default_factory=dict)
    first: dict[str, Segment] = field(default_factory=dict)  # producer -> where its channels begin
    secondary: set[str] = field(default_factory=set)
    consumers: list[Consumer] = field(default_factory=list)
    slices: list[TensorSlice] = field(default_factory=list)
    grouped: set[GroupedLayer] = field(default_factory=set)
    sizes: list[SizeAttribute] = field(default_factory=list)


class Leaves:
    """The uses of factors, spread over the leaves that the factors turned out to be made of."""

    def __init__(self, classes: AxisRelations, uses: Uses) -> None:
        self._classes = classes
        self._found: dict[int, _Found] = {}
        self._spread_layers(uses)
        for each in uses.members:
            for leaf, segment in self._of(each.factor):
                leaf.slices.append(TensorSlice(each.tensor, each.axis, segment.offset, segment.block))
        for size, factors in uses.stated_sizes.items():
            stated = next((factor for factor in factors if not classes.whole(factor)), factors[0])
            for leaf, segment in self._of(stated):
                leaf.sizes.append(SizeAttribute(size.module, size.attribute, size.position, segment.block))
        for root in classes.roots():
            for leaf, _ in self._of(root):
                leaf.secondary |= classes.get(root).secondary

    def _spread_layers(self, uses: Uses) -> None:
        for made in uses.productions:
            for leaf, segment in self._of(made.factor):
                leaf.producers.setdefault(made.module, made.order)
                leaf.first.setdefault(made.module, segment)
        for used in uses.consumptions.values():
            for leaf, segment in self._of(used.factor):
                leaf.consumers.append(Consumer(used.module, *used.layout, segment.offset, segment.block))
        for grouping in uses.groupings:
            for leaf, _ in self._of(grouping.factor):
                leaf.grouped.add(GroupedLayer(grouping.module, grouping.channels_per_group))

    def _of(self, factor: int) -> Iterator[tuple[_Found, Segment]]:
        for segment in self._classes.segments(factor):
            yield self._found.setdefault(segment.leaf, _Found()), segment

    def sites(self, policy: Policy) -> tuple[dict[int, SitePlan], list[RefusedClass]]:
        """Leaf -> its site, in the order of their first producer; and what stays whole."""
        produced = {leaf: uses for leaf, uses in self._found.items() if uses.producers}
        order = sorted(produced, key=lambda leaf: (min(produced[leaf].producers.values()), self._start(leaf)))
        sites: dict[int, SitePlan] = {}
        refused: list[RefusedClass] = []
        for leaf in order:
            uses = produced[leaf]
            reasons = self._reasons(leaf, policy)
            if reasons:
                size = self._classes.size[leaf] * self._first(leaf).block
                refused.append(RefusedClass(_in_order(uses.producers), size, tuple(sorted(reasons))))
            else:
                sites[leaf] = self._site(leaf)
        return sites, refused

    def _first(self, leaf: int) -> Segment:
        uses = self._found[leaf]
        return uses.first[_in_order(uses.producers)[0]]

    def _start(self, leaf: int) -> int:
        return self._first(leaf).offset

    def _reasons(self, leaf: int, policy: Policy) -> set[str]:
        uses = self._found[leaf]
        reasons = set(self._classes.get(leaf).reasons)
        if policy == "single" and len(set(uses.producers) - uses.secondary) > 1:
            reasons.add("several producers (residual sum or shared consumer); policy 'coupled' gates them together")
        if not reasons and not uses.consumers:
            reasons.add("no consumer sums over it")
        if self._classes.size[leaf] < MIN_UNITS:
            reasons.add(f"fewer than {MIN_UNITS} units")
        return reasons

    def _site(self, leaf: int) -> SitePlan:
        uses, first = self._found[leaf], self._first(leaf)
        return SitePlan(
            name=self._name(leaf),
            width=self._classes.size[leaf],
            block=first.block,
            producers=_in_order(uses.producers),
            consumers=tuple(uses.consumers),
            slices=tuple(sorted(uses.slices, key=lambda part: (part.tensor, part.axis, part.offset))),
            grouped=tuple(sorted(uses.grouped, key=lambda layer: layer.module)),
            sizes=tuple(sorted(uses.sizes, key=lambda size: (size.module, size.attribute, size.position or 0))),
        )

    def _name(self, leaf: int) -> str:
        """The first producer, with its channels when it makes those of other sites too."""
        producer, first = _in_order(self._found[leaf].producers)[0], self._first(leaf)
        shared = sum(producer in other.producers for other in self._found.values()) > 1
        stop = first.offset + self._classes.size[leaf] * first.block
        return f"{producer}[{first.offset}:{stop}]" if shared else producer


def _in_order(producers: dict[str, int]) -> tuple[str, ...]:
    return tuple(sorted(producers, key=lambda name: producers[name]))


def layers(classes: AxisRelations, calls: Iterable[LayerCall], sites: dict[int, SitePlan]) -> tuple[Layer, ...]:
    """Per layer one entry for every pair of sites at its two sides; calls of the same layer add their MACs."""
    by_name: dict[str, list[LayerCall]] = {}
    for call in calls:
        by_name.setdefault(call.name, []).append(call)
    return tuple(layer for same in by_name.values() for layer in _entries(classes, same, sites))


def _entries(classes: AxisRelations, same: list[LayerCall], sites: dict[int, SitePlan]) -> Iterator[Layer]:
    call, macs = same[0], sum(each.macs for each in same)
    inputs = _widths(classes, call.in_factor, call.in_width, sites)
    outputs = _widths(classes, call.out_factor, call.out_width, sites)
    for in_site, in_width in inputs.items():
        for out_site, out_width in outputs.items():
            share = macs * in_width * out_width // (call.in_width * call.out_width)
            yield Layer(call.name, in_site, out_site, in_width, out_width, share)


def _widths(
    classes: AxisRelations, factor: int | None, width: int, sites: dict[int, SitePlan]
) -> dict[str | None, int]:
    """Site -> its channels on this side of a layer; None -> the channels that no gate changes."""
    if factor is None:
        return {None: width}
    widths: dict[str | None, int] = {}
    for segment in classes.segments(factor):
        site = sites.get(segment.leaf)
        name = None if site is None else site.name
        widths[name] = widths.get(name, 0) + classes.size[segment.leaf] * segment.block
    return widths
