"""From an architecture's recorded features to what its cost is linear in.

Shapes: `n` architectures, `L` recorded features, `F` mapped features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError

FloatArray = NDArray[np.float64]

PLAIN = "plain"


class FeatureMap(Protocol):
    """One way from recorded to mapped features. `name` tells it from the others of its space; `names` are `(F,)`."""

    @property
    def name(self) -> str: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def tile(self) -> int:
        """Output channels that a kernel computes at once, where widths are rounded up to it; else 0."""
        ...

    def __call__(self, recorded: ArrayLike, /) -> FloatArray:
        """`(n, L)` -> `(n, F)`. Raises `InputError` for features that no architecture of the space has."""


@dataclass(frozen=True)
class PlainMap:
    """The recorded features as they are."""

    names: tuple[str, ...]
    name: str = PLAIN
    tile: int = 0

    def __call__(self, recorded: ArrayLike) -> FloatArray:
        array = np.asarray(recorded, float)
        if array.ndim != 2 or array.shape[1] != len(self.names):
            raise InputError(f"features must have shape (n, {len(self.names)}), a column each, got {array.shape}")
        if not np.isfinite(array).all():
            row, column = np.argwhere(~np.isfinite(array))[0]
            raise InputError(f"row {row} has {array[row, column]} as {self.names[column]!r}; it must be finite")
        return array


class _Named(Protocol):
    @property
    def feature_names(self) -> tuple[str, ...]: ...


class PlainFeatures:
    """Base of spaces whose recorded features are what costs are linear in, such as the MACs of each layer."""

    @property
    def feature_sets(self) -> tuple[str, ...]:
        return (PLAIN,)

    def feature_maps(self: _Named, features: str) -> Sequence[FeatureMap]:
        check_feature_set(features, (PLAIN,))
        return (PlainMap(self.feature_names),)


def check_feature_set(features: str, offered: Sequence[str]) -> None:
    """Raises `InputError` for a feature set that is not `offered`."""
    if features not in offered:
        raise InputError(f"features must be one of {', '.join(offered)}, got {features!r}")
