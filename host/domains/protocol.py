"""What a kind of tasks brings along: one object behind one protocol, found by its name in `registry`.

An opened domain (`tasks.domain.TaskDomain`) is a kind over some data; an objective is what training makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..supernet.backbones import Backbone
from ..tasks import AttributeSpace, Task
from ..tasks.domain import TaskDomain
from ..training.objective import Objective

RunModel = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""A model: inputs `(B, C, H, W)` to outputs `(B, ...)`."""


@dataclass(frozen=True)
class DataSources:
    """Where data may come from: the user's folder, or None for what comes along; torchvision's MNIST files, or None for
    the digits that come along. `cache` is a folder for what is made of them once. `say` and `progress` tell of it."""

    folder: Path | None
    mnist: Path | None
    cache: Path
    say: Callable[[str], None] = lambda sentence: None
    progress: Callable[[str, int, int], None] = lambda what, done, total: None


class Prediction(Protocol):
    """What a model says about one image."""

    @property
    def image(self) -> Path: ...

    @property
    def sentence(self) -> str:
        """For people."""
        ...

    def to_json(self) -> dict[str, Any]: ...


class Reader(Protocol):
    """Reads the outputs of a delivered model, as its manifest says."""

    @property
    def draws(self) -> bool:
        """Whether a prediction can be drawn on its picture."""
        ...

    def predict(self, images: Sequence[Path], run: RunModel, min_score: float) -> Iterator[Prediction]: ...


class DomainKind(Protocol):
    """One kind of tasks, without any data yet."""

    @property
    def name(self) -> str:
        """What recipes, supernets and manifests call it."""
        ...

    def settings(self, table: Mapping[str, Any]) -> Any:
        """A recipe's `[domain]` table, checked: a frozen dataclass of the kind's own. Raises `InputError`."""
        ...

    def tasks(self, space: AttributeSpace) -> tuple[Task, ...]:
        """All tasks of a space; needs no data."""
        ...

    def open(self, settings: Any, backbone: Backbone, sources: DataSources) -> TaskDomain:
        """The domain over the user's data, or what comes along. Raises `InputError` where it lacks something."""
        ...

    def objective(self, domain: TaskDomain, settings: Any) -> Objective:
        """What training needs of a domain that this kind opened."""
        ...

    def reader(self, outputs: Mapping[str, Any]) -> Reader:
        """Of what the domain wrote into a manifest (`TaskDomain.describe`).

        Raises `KeyError`, `TypeError` or `ValueError` for what `describe` does not give.
        """
        ...
