"""An architecture of a search space: the unit that is measured, recorded and predicted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from .errors import InputError


class Architecture(Protocol):
    """One choice of a search space.

    `kind` names the kind of space, such as "gates". `digest` identifies the choice among all of all spaces. `encoding`
    is what its space decodes, and what a template on a device is cut by. `features` are what a cost depends on, one
    number for each of the space's `feature_names`.
    """

    @property
    def kind(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def encoding(self) -> bytes: ...

    @property
    def features(self) -> tuple[float, ...]: ...


@dataclass(frozen=True)
class EncodedArchitecture:
    """An architecture as records keep it, whatever its space; its space's `decode` gives the thing itself."""

    kind: str
    digest: str
    encoding: bytes
    features: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.kind or not self.digest:
            raise InputError(f"an architecture needs a kind and a digest, got {self.kind!r} and {self.digest!r}")
        if not all(math.isfinite(value) for value in self.features):
            raise InputError(f"an architecture's features must be finite numbers, got {self.features}")

    @classmethod
    def of(cls, architecture: Architecture) -> EncodedArchitecture:
        return cls(architecture.kind, architecture.digest, architecture.encoding, architecture.features)
