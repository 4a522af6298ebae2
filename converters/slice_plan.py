"""The slice plan: which parts of a converted model follow which sites."""

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
    """Consecutive channels of an axis: all modules of a site in order, `channels` each, or `channels` that stay."""

    site: str | None
    channels: int


Runs = tuple[Run, ...]


@dataclass(frozen=True)
class SlicePlan:
    """Everything that changes when a site's channels are sliced, with the runs of the axis whose length it has.

    `axes`: (tensor, axis). `extents`: (constant tensor, position) of a number that repeats an axis length.
    `options`: (operator, field) of an option that does.
    """

    axes: Mapping[tuple[int, int], Runs]
    extents: Mapping[tuple[int, int], Runs]
    options: Mapping[tuple[int, str], Runs]


@dataclass(frozen=True)
class Lengths:
    """Every length that differs between the supernet and converted subnets: the supernet's value, then theirs."""

    axes: Mapping[tuple[int, int], tuple[int, ...]]
    extents: Mapping[tuple[int, int], tuple[int, ...]]
    options: Mapping[tuple[int, str], tuple[int, ...]]


def sites_of(runs: Runs) -> tuple[str, ...]:
    return tuple(dict.fromkeys(run.site for run in runs if run.site is not None))


def length_of(runs: Runs, counts: Counts) -> int:
    """The length of an axis with this many modules open."""
    return sum(run.channels * (1 if run.site is None else counts[run.site]) for run in runs)


def open_channels(runs: Runs, masks: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Per channel of an axis, whether it stays: `(length,)`."""
    parts = [
        np.ones(run.channels, bool) if run.site is None else np.repeat(masks[run.site], run.channels) for run in runs
    ]
    return np.concatenate(parts)


def require_agreement(
    graph: Graph, plan: SlicePlan, seen: Lengths, sites: Sequence[TemplateSite], counts: Sequence[Counts]
) -> None:
    """Compare the lengths that a plan predicts for the probes with those that the converter gave them.

    Raises:
        ConversionError: they differ; names the site, and the axis, element or option where they do.
    """
    every = ({site.name: site.width for site in sites}, *counts)
    for kind in ("axes", "extents", "options"):
        planned: Mapping[Any, Runs] = getattr(plan, kind)
        observed: Mapping[Any, tuple[int, ...]] = getattr(seen, kind)
        for key in sorted(planned.keys() | observed.keys()):
            runs = planned.get(key)
            expected = None if runs is None else tuple(length_of(runs, each) for each in every)
            if expected != observed.get(key):
                raise _disagreement(_describe(graph, kind, key), runs, expected, observed.get(key))


def _disagreement(
    where: str, runs: Runs | None, expected: tuple[int, ...] | None, observed: tuple[int, ...] | None
) -> ConversionError:
    if runs is None or expected is None:
        full, *pruned = observed or ()
        return ConversionError(
            f"{where} went from {full} to {' and '.join(map(str, pruned))} in a pruned subnet, but belongs to no site; "
            f"is a site missing, or does `extract` prune something else?"
        )
    said = "does not change" if observed is None else f"goes {' -> '.join(map(str, observed))}"
    names = ", ".join(repr(name) for name in sites_of(runs))
    return ConversionError(
        f"site {names}: the two slice plans disagree at {where}: by the operators it goes "
        f"{' -> '.join(map(str, expected))}, in converted subnets it {said}; leave this site ungated"
    )


def _describe(graph: Graph, kind: str, key: tuple[int, Any]) -> str:
    if kind == "options":
        return f"option {key[1]} of {graph.operators[key[0]]}"
    what = "axis" if kind == "axes" else "element"
    return f"{what} {key[1]} of tensor {key[0]} ({graph.name(key[0])!r}, shape {graph.shape(key[0])})"
