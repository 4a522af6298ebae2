"""What a kind of tasks provides: one object behind one protocol, found by its name in `registry`.

An opened domain (`tasks.domain.TaskDomain`) is a kind over some data; an objective is what training needs of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    """Where data may come from.

    Attributes:
        folder: the user's; None means the shipped data.
        mnist: torchvision's MNIST files; None means the shipped digits.
        cache: a folder for what is computed from the data once.
        say: is told in a sentence when something slow begins.
        progress: is told what is being loaded, how much of it is done, and of how much.
    """

    folder: Path | None
    mnist: Path | None
    cache: Path
    say: Callable[[str], None] = lambda sentence: None
    progress: Callable[[str, int, int], None] = lambda what, done, total: None


@dataclass(frozen=True)
class About:
    """What a card says of a kind: its `title`, what `pretraining` teaches, how `tests` are made, and of which `images`;
    `tests` has a place for `{n}` images, `images` one for the `{data}` of the opened domain."""

    title: str
    pretraining: str
    tests: str
    images: str


class Prediction(Protocol):
    """What a model says about one image."""

    @property
    def image(self) -> Path: ...

    @property
    def sentence(self) -> str:
        """For people, without the image's name."""
        ...

    @property
    def rows(self) -> Sequence[Sequence[str]]:
        """A table for people, its header first; empty where the sentence says it all."""
        ...

    def to_json(self) -> dict[str, Any]: ...

    def draw(self, path: Path) -> None:
        """Write the picture with the prediction in it as a PNG file; only where the reader `draws`."""
        ...


class Reader(Protocol):
    """Reads the outputs of a delivered model, as its manifest says."""

    @property
    def draws(self) -> bool:
        """Whether a prediction can be drawn on its picture."""
        ...

    def predict(self, images: Sequence[Path], run: RunModel, min_score: float) -> Sequence[Prediction]:
        """One prediction an image, in their order.

        Raises `InputError` for an image that cannot be read, and outputs that are not as the manifest says.
        """
        ...


class DomainKind(Protocol):
    """One kind of tasks, without any data yet."""

    @property
    def name(self) -> str:
        """What recipes, supernets and manifests call it."""
        ...

    @property
    def about(self) -> About: ...

    def settings(self, table: Mapping[str, Any]) -> Any:
        """A recipe's `[domain]` table, checked: a frozen dataclass of the kind's own. Raises `InputError`."""
        ...

    def tasks(self, space: AttributeSpace) -> tuple[Task, ...]:
        """All tasks of a space; needs no data."""
        ...

    def open(
        self, settings: Any, backbone: Backbone, sources: DataSources, space: AttributeSpace | None = None
    ) -> TaskDomain:
        """The domain over the user's data or the shipped data; with a `space`, that of a trained supernet.

        Raises `InputError` where data are missing or lack something, or the backbone cannot do the tasks.
        """
        ...

    def objective(self, domain: Any, settings: Any) -> Objective:
        """What training needs of a domain that this kind opened."""
        ...

    def reader(self, outputs: Mapping[str, Any]) -> Reader:
        """Of what the domain wrote into a manifest (`TaskDomain.describe`).

        Raises `KeyError`, `TypeError` or `ValueError` for what `describe` does not give.
        """
        ...
