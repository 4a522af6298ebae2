"""The state of a run on disk: written completely or not at all, and loaded without executing code from a pickle."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..files import atomic_path

FILE_NAME = "checkpoint.pt"
_FORMAT, _VERSION = "edgewright-checkpoint", 2

Content = dict[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """Everything a killed run needs: batches are a function of the step, so no generator state is among it.

    Attributes:
        step: steps of the stage that are done.
        modules: the state of each, by its name.
        hooks: the state of each, by its name.
        settings: what the run was started with, as JSON.
    """

    stage: str
    step: int
    elapsed_s: float
    modules: dict[str, dict[str, Tensor]]
    optimizers: list[dict[str, Any]]
    hooks: dict[str, dict[str, Any]]
    settings: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Raises `StorageError` when the folder cannot be written."""
        facts = {"stage": self.stage, "step": self.step, "elapsed_s": self.elapsed_s, "settings": self.settings}
        content = {
            "format": _FORMAT,
            "version": _VERSION,
            "facts": json.dumps(facts),
            "modules": self.modules,
            "optimizers": self.optimizers,
            "hooks": self.hooks,
        }
        with atomic_path(folder / FILE_NAME) as temporary, open(temporary, "wb") as file:
            torch.save(content, file)

    @classmethod
    def load(cls, folder: Path, upgrade: Callable[[Content], Content] | None = None) -> Checkpoint:
        """The checkpoint in `folder`; `upgrade` makes the content of one that has no version into that of today's.

        Raises `InputError` for a file that is not a checkpoint of this program, or of a newer one.
        """
        path = folder / FILE_NAME
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            if "version" not in content and upgrade is not None:
                content = upgrade(content)
            version = content["version"]
            states = {name: content[name] for name in ("modules", "optimizers", "hooks")}
            found = cls(**json.loads(content["facts"]), **states)
        except (RuntimeError, KeyError, TypeError, ValueError, OSError, EOFError, _unpickling_error()) as error:
            raise InputError(
                f"{path} is not a training checkpoint ({_first_line(error)}); remove it to start anew, "
                "or name the folder of an interrupted run"
            ) from error
        if version != _VERSION:
            raise InputError(f"{path} has version {version}, this program reads {_VERSION}; update edgewright")
        return found

    @staticmethod
    def remove(folder: Path) -> None:
        """Of a run that is finished."""
        (folder / FILE_NAME).unlink(missing_ok=True)

    @staticmethod
    def exists(folder: Path) -> bool:
        return (folder / FILE_NAME).exists()


def _unpickling_error() -> type[Exception]:
    import pickle  # only for the name of the error that torch raises on foreign bytes

    return pickle.UnpicklingError


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
