"""What of a converted model follows which site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ConversionError
from .flatbuffer import Graph


@dataclass(frozen=True)
class SlicePlan:
    """Everything that changes when a site's channels are sliced, each with the site's name.

    `axes`: (tensor, axis). `extents`: (constant tensor, position in it) of a number that repeats an axis' length.
    `options`: (operator, field) of an operator's option that does.
    """

    axes: Mapping[tuple[int, int], str]
    extents: Mapping[tuple[int, int], str]
    options: Mapping[tuple[int, str], str]


def require_agreement(graph: Graph, first: SlicePlan, second: SlicePlan) -> None:
    """Compare the plans of two independent planners.

    Raises:
        ConversionError: they differ; names the site and the place.
    """
    for kind in ("axes", "extents", "options"):
        one: Mapping[Any, str] = getattr(first, kind)
        other: Mapping[Any, str] = getattr(second, kind)
        for place in sorted(one.keys() | other.keys()):
            if one.get(place) != other.get(place):
                sites = [site for site in (one.get(place), other.get(place)) if site is not None]
                raise ConversionError(
                    f"site {sites[0]!r}: the two slice plans disagree at {_describe(graph, kind, place)} "
                    f"({one.get(place)!r} and {other.get(place)!r}); leave this site ungated"
                )


def _describe(graph: Graph, kind: str, place: tuple[int, Any]) -> str:
    if kind == "options":
        return f"option {place[1]} of {graph.operators[place[0]]}"
    what = "axis" if kind == "axes" else "element"
    return f"{what} {place[1]} of tensor {place[0]} ({graph.name(place[0])!r}, shape {graph.shape(place[0])})"
