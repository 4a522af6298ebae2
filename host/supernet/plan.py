"""What modularising a backbone found: its sites, its layers as a cost sees them, and what was refused.

Plain data, saved as JSON next to a checkpoint, so that a saved supernet needs no second analysis.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from ..errors import InputError
from ..gates import GateSpace, Layer, Site

SCHEMA = 2
_READS = (1, 2)  # in schema 1 every slice was a whole axis, in the site's own blocks


@dataclass(frozen=True)
class Consumer:
    """A layer that sums over a site's channels: where its input has the batch and the channel axis.

    The channel axis counts from the back (-3 of `(B, C, H, W)`), the batch axis from the front. The site's channels
    there start at `offset`, `block` of them per unit; a site may be found several times in one consumer.
    """

    module: str
    batch_axis: int
    channel_axis: int
    offset: int = 0
    block: int = 1


@dataclass(frozen=True)
class TensorSlice:
    """The part of a parameter or buffer that follows a site: from `offset` along `axis`, `block` elements per unit."""

    tensor: str
    axis: int
    offset: int = 0
    block: int = 1


@dataclass(frozen=True)
class GroupedLayer:
    """A depthwise or grouped convolution whose number of groups follows the site, with the outputs of a group."""

    module: str
    channels_per_group: int


@dataclass(frozen=True)
class SizeAttribute:
    """A size that a module keeps as an attribute, such as `num_heads`: `block` less for every closed unit.

    `position` is the index in the attribute when it is a list.
    """

    module: str
    attribute: str
    position: int | None
    block: int


@dataclass(frozen=True)
class SitePlan:
    """One site: `width` units of `block` consecutive channels of its first producer, after which it is named."""

    name: str
    width: int
    block: int
    producers: tuple[str, ...]
    consumers: tuple[Consumer, ...]
    slices: tuple[TensorSlice, ...]
    grouped: tuple[GroupedLayer, ...] = ()
    sizes: tuple[SizeAttribute, ...] = ()

    def __post_init__(self) -> None:
        if self.width < 2 or self.block < 1:
            raise InputError(f"site {self.name!r} needs width >= 2 and block >= 1, got {self.width} and {self.block}")
        if not self.consumers or not self.slices:
            raise InputError(f"site {self.name!r} needs at least one consumer and one tensor to slice")

    @property
    def channels(self) -> int:
        return self.width * self.block


@dataclass(frozen=True)
class RefusedClass:
    """Channels that some layers produce together but that stay whole, and why. `size` in channels."""

    producers: tuple[str, ...]
    size: int
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{', '.join(self.producers)} ({self.size} channels): {'; '.join(self.reasons)}"


@dataclass(frozen=True)
class SupernetPlan:
    """All that a supernet knows beyond its backbone.

    `layers` holds every conv and linear in the order of their calls, as one entry per pair of sites at its two sides:
    a layer that reads two concatenated sites has two entries of one name. Widths are those of the weight, so `in_width`
    is the number of channels that one output sums over: for a depthwise or grouped layer that is a group's, which no
    gate changes, and `in_site` is None. Then `macs * open share of in_site * open share of out_site` is right for all.
    `backbone_digest` is over the names and shapes of the backbone's tensors.
    """

    sites: tuple[SitePlan, ...]
    layers: tuple[Layer, ...]
    refused: tuple[RefusedClass, ...]
    backbone_digest: str

    @cached_property
    def space(self) -> GateSpace:
        return GateSpace(tuple(Site(site.name, site.width, site.block) for site in self.sites))

    def without(self, refused: Mapping[str, str]) -> SupernetPlan:
        """The plan with these sites (name -> reason) refused."""
        gone = [site for site in self.sites if site.name in refused]
        return replace(
            self,
            sites=tuple(site for site in self.sites if site.name not in refused),
            layers=tuple(
                replace(
                    layer,
                    in_site=None if layer.in_site in refused else layer.in_site,
                    out_site=None if layer.out_site in refused else layer.out_site,
                )
                for layer in self.layers
            ),
            refused=self.refused + tuple(RefusedClass(s.producers, s.channels, (refused[s.name],)) for s in gone),
        )

    def to_json(self) -> str:
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1)

    @staticmethod
    def from_json(text: str) -> SupernetPlan:
        """Raises `InputError` when the text is not a plan of this schema."""
        try:
            data = json.loads(text)
            schema = data["schema"]
            if schema not in _READS:
                raise InputError(f"supernet plan has schema {schema!r}, this version reads {_READS}; make it again")
            return SupernetPlan(
                sites=tuple(_site(item, schema) for item in data["sites"]),
                layers=tuple(Layer(**item) for item in data["layers"]),
                refused=tuple(_refused(item) for item in data["refused"]),
                backbone_digest=data["backbone_digest"],
            )
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise InputError(f"not a supernet plan ({type(error).__name__}: {error}); is the file damaged?") from error


def _refused(item: Mapping[str, Any]) -> RefusedClass:
    return RefusedClass(tuple(item["producers"]), item["size"], tuple(item["reasons"]))


def _site(item: Mapping[str, Any], schema: int) -> SitePlan:
    block = {"block": item["block"]} if schema == 1 else {}
    return SitePlan(
        name=item["name"],
        width=item["width"],
        block=item["block"],
        producers=tuple(item["producers"]),
        consumers=tuple(Consumer(**consumer, **block) for consumer in item["consumers"]),
        slices=tuple(TensorSlice(**part, **block) for part in item["slices"]),
        grouped=tuple(GroupedLayer(**layer) for layer in item["grouped"]),
        sizes=tuple(SizeAttribute(**size) for size in item["sizes"]) if schema > 1 else (),
    )
