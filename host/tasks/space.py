"""What every space of tasks can do, whatever its grammar."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .attributes import Task


class TaskSpace(Protocol):
    """The attributes that tasks are made of, and the way people write them. Shapes: `T` attributes."""

    @property
    def attributes(self) -> tuple[str, ...]:
        """What each number of an encoding stands for."""
        ...

    @property
    def example(self) -> str:
        """Some task of the space, as a user would write it."""
        ...

    def task(self, attributes: Iterable[str]) -> Task:
        """The task of these attributes. Raises `InputError` for an unknown one, and for a task outside the space."""
        ...

    def parse(self, text: str) -> Task:
        """Read a task as a user writes it. Raises `InputError`."""
        ...

    def encode(self, attributes: Iterable[str]) -> NDArray[np.float32]:
        """The attributes of a task as a multi-hot vector `(T,)`. Raises `InputError` for an unknown one."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Read again by the task domain's `space`."""
        ...
