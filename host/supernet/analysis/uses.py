"""What layers do with factors, noted while the graph is walked and read when all classes are known."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgewright.converters.reshaping import AxisRelations

Layout = tuple[int, int]  # batch axis (from the front), channel axis (from the back) of a consumer's input


@dataclass(frozen=True)
class Member:
    """An axis of a parameter or buffer."""

    factor: int
    tensor: str
    axis: int


@dataclass(frozen=True)
class Production:
    """A layer whose output channels are this factor, and when it was called."""

    factor: int
    module: str
    order: int


@dataclass(frozen=True)
class Consumption:
    """A layer that sums over this factor."""

    factor: int
    module: str
    layout: Layout


@dataclass(frozen=True)
class Grouping:
    """A depthwise or grouped convolution whose output channels are this factor."""

    factor: int
    module: str
    channels_per_group: int


@dataclass(frozen=True)
class StatedSize:
    """An attribute of a module that states a factor's size; `position` in it when it is a list."""

    module: str
    attribute: str
    position: int | None


@dataclass
class Uses:
    members: list[Member] = field(default_factory=list)
    productions: list[Production] = field(default_factory=list)
    consumptions: dict[str, Consumption] = field(default_factory=dict)
    groupings: list[Grouping] = field(default_factory=list)
    stated_sizes: dict[StatedSize, list[int]] = field(default_factory=dict)
    """An attribute -> the factors whose size it may state, in the order they were met."""

    def produce(self, classes: AxisRelations, factor: int, module: str, order: int) -> None:
        self.productions.append(Production(factor, module, order))
        for segment in classes.segments(factor):
            classes.get(segment.leaf).producers.setdefault(module, order)

    def consume(self, classes: AxisRelations, factor: int, module: str, layout: Layout) -> None:
        known = self.consumptions.setdefault(module, Consumption(factor, module, layout))
        if known.layout != layout:
            classes.refuse([(factor,)], f"consumer {module} is called with two layouts")
