"""What a search space offers for measuring and predicting its architectures: one protocol for each capability.

A space implements the protocols of the capabilities it has; code that needs a capability asks for its protocol.

Shapes: `n` architectures, `L` recorded features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from ..architecture import Architecture as Architecture
from ..architecture import EncodedArchitecture as EncodedArchitecture
from .features import FeatureMap

A = TypeVar("A", bound=Architecture)
A_co = TypeVar("A_co", bound=Architecture, covariant=True)


class SearchSpace(Protocol[A_co]):
    """A set of architectures. `digest` identifies the space; `feature_names` `(L,)` name its recorded features."""

    @property
    def kind(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def feature_names(self) -> tuple[str, ...]: ...

    def decode(self, encoding: bytes) -> A_co:
        """The architecture with that `encoding`. Raises `InputError` for bytes that encode none."""


@dataclass(frozen=True)
class Drawing:
    """How architectures are drawn for a campaign. A space without parts that can stray or be extreme ignores both.

    `spread`: how far parts of an architecture stray from its average, as a standard deviation in logits. `extremes`:
    each part is once at its least and once at its most, in at most a quarter of the architectures.
    """

    spread: float = 2.0
    extremes: bool = True


class CampaignSpace(SearchSpace[A_co], Protocol[A_co]):
    """A space that campaigns draw from. `n_different` counts its architectures that measurements can tell apart."""

    @property
    def n_different(self) -> int: ...

    def sentinel(self) -> A_co:
        """A middling architecture: the one measured again and again, against drift. Always the same."""

    def draw(self, n: int, drawing: Drawing, rng: np.random.Generator) -> Sequence[A_co]:
        """`n` architectures with different features, spread evenly over the space, its cheapest and most expensive
        among them and the sentinel not. The same generator state gives the same ones.

        `2 * n <= n_different` holds. Raises `InputError` where no more can be drawn.
        """


class FeatureSpace(SearchSpace[A_co], Protocol[A_co]):
    """A space whose costs can be predicted: it says in which ways costs may follow from the recorded features."""

    @property
    def feature_sets(self) -> tuple[str, ...]:
        """The ways, from the simplest to the richest."""

    def feature_maps(self, features: str) -> Sequence[FeatureMap]:
        """The maps of one feature set; a fit chooses among them. Raises `InputError` for an unknown one."""
