"""The protocol of a kind of tasks, which `registry` finds by name.

Opening a kind on some data gives a domain (`tasks.domain.TaskDomain`); its objective is the part that training uses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..supernet.backbones import Backbone
from ..tasks import Task, TaskSpace
from ..tasks.domain import TaskDomain
from ..training.objective import Objective

RunModel = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""A model: inputs `(B, C, H, W)` to outputs `(B, ...)`."""


@dataclass(frozen=True)
class DataSources:
    """Where data may come from.

    Attributes:
        folder: the user's data; None means the shipped data.
        mnist: torchvision's MNIST files; None means the shipped digits.
        cache: a folder for results that are computed from the data once.
        say: called with a sentence when something slow begins.
        progress: called with what is being loaded, the amount done and the total.
    """

    folder: Path | None
    mnist: Path | None
    cache: Path
    say: Callable[[str], None] = lambda sentence: None
    progress: Callable[[str, int, int], None] = lambda what, done, total: None


@dataclass(frozen=True)
class About:
    """What a card says about a kind: its `title`, what `pretraining` teaches, and how `tests` and `images` are made.

    `tests` contains a placeholder `{n}` for the number of images, `images` one for the opened domain's `{data}`.
    """

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

    @property
    def draws_sheets(self) -> bool:
        """Whether several predictions can be drawn on one sheet."""
        ...

    def draw_sheet(self, predictions: Sequence[Any], path: Path) -> None:
        """Write one picture of all predictions as a PNG file; only where the reader `draws_sheets`."""
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

    def space(self, data: Mapping[str, Any]) -> TaskSpace:
        """Of what a space's `to_json` gave. Raises `KeyError`, `TypeError` or `ValueError` for anything else."""
        ...

    def tasks(self, space: Any) -> tuple[Task, ...]:
        """All tasks of one of the kind's spaces; needs no data."""
        ...

    def open(
        self, settings: Any, backbone: Backbone, sources: DataSources, space: Any = None
    ) -> TaskDomain:
        """The domain over the user's data or the shipped data; with a `space`, that of a trained supernet.

        Raises `InputError` where data are missing or lack something, are not those that the supernet was trained on,
        or the backbone cannot do the tasks.
        """
        ...

    def objective(self, domain: Any, settings: Any) -> Objective:
        """What training needs of a domain that this kind opened."""
        ...

    def reader(self, outputs: Mapping[str, Any]) -> Reader:
        """The reader of outputs, from what the domain wrote into a manifest (`TaskDomain.describe`).

        Raises `KeyError`, `TypeError` or `ValueError` for anything that `describe` does not return.
        """
        ...
