"""What of a converted model follows which sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from edgewright.device_agent.template import TemplateSite
from numpy.typing import NDArray

from .errors import ConversionError
from .flatbuffer import Graph

Counts = Mapping[str, int]  # site -> open modules


class Run(NamedTuple):
    """Consecutive places of an axis: all modules of a site in order, `channels` each, or `channels` that stay."""

    site: str | None
    channels: int


Runs = tuple[Run, ...]


@dataclass(frozen=True)
class SlicePlan:
    """Everything that changes when a site's channels are sliced, each with the runs of the axis that it is or repeats.

    `axes`: (tensor, axis). `extents`: (constant tensor, position in it) of a number that repeats an axis' length.
    `options`: (operator, field) of an operator's option that does.
    """

    axes: Mapping[tuple[int, int], Runs]
    extents: Mapping[tuple[int, int], Runs]
    options: Mapping[tuple[int, str], Runs]


@dataclass(frozen=True)
class Lengths:
    """Every number that converted subnets have another value of than the supernet: the supernet's, then theirs."""

    axes: Mapping[tuple[int, int], tuple[int, ...]]
    extents: Mapping[tuple[int, int], tuple[int, ...]]
    options: Mapping[tuple[int, str], tuple[int, ...]]


def sites_of(runs: Runs) -> tuple[str, ...]:
    return tuple(dict.fromkeys(run.site for run in runs if run.site is not None))


def length_of(runs: Runs, counts: Counts) -> int:
    """Of an axis, with so many modules open."""
    return sum(run.channels * (1 if run.site is None else counts[run.site]) for run in runs)


def open_channels(runs: Runs, masks: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Per place of an axis, whether it is left: `(length,)`."""
    parts = [
        np.ones(run.channels, bool) if run.site is None else np.repeat(masks[run.site], run.channels) for run in runs
    ]
    return np.concatenate(parts)


def require_agreement(
    graph: Graph, plan: SlicePlan, seen: Lengths, sites: Sequence[TemplateSite], counts: Sequence[Counts]
) -> None:
    """Compare what a plan makes of the probes' counts with the lengths that the converter gave the probes.

    Raises:
        ConversionError: they differ; names the site and the place.
    """
    every = ({site.name: site.width for site in sites}, *counts)
    for kind in ("axes", "extents", "options"):
        planned: Mapping[Any, Runs] = getattr(plan, kind)
        observed: Mapping[Any, tuple[int, ...]] = getattr(seen, kind)
        for place in sorted(planned.keys() | observed.keys()):
            runs = planned.get(place)
            expected = None if runs is None else tuple(length_of(runs, each) for each in every)
            if expected != observed.get(place):
                raise _disagreement(_describe(graph, kind, place), runs, expected, observed.get(place))


def _disagreement(
    place: str, runs: Runs | None, expected: tuple[int, ...] | None, observed: tuple[int, ...] | None
) -> ConversionError:
    if runs is None or expected is None:
        full, *pruned = observed or ()
        return ConversionError(
            f"{place} went from {full} to {' and '.join(map(str, pruned))} in a pruned subnet, which is no site's; "
            f"is a site missing, or does `extract` prune something else?"
        )
    said = "does not change" if observed is None else f"goes {' -> '.join(map(str, observed))}"
    names = ", ".join(repr(name) for name in sites_of(runs))
    return ConversionError(
        f"site {names}: the two slice plans disagree at {place}: by the operators it goes "
        f"{' -> '.join(map(str, expected))}, in converted subnets it {said}; leave this site ungated"
    )


def _describe(graph: Graph, kind: str, place: tuple[int, Any]) -> str:
    if kind == "options":
        return f"option {place[1]} of {graph.operators[place[0]]}"
    what = "axis" if kind == "axes" else "element"
    return f"{what} {place[1]} of tensor {place[0]} ({graph.name(place[0])!r}, shape {graph.shape(place[0])})"
