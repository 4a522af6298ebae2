"""Training state on disk: whole or not at all, loaded without pickle's code execution."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..assembler.joint.recipe import Recipe
from ..errors import InputError
from ..files import atomic_path

FILE_NAME = "checkpoint.pt"


@dataclass(frozen=True)
class Best:
    """The weights of the best evaluation so far."""

    step: int
    accuracy: float
    backbone: dict[str, Tensor]
    assembler: dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """Everything a killed run needs: batches are a function of the step, so no generator state is among it."""

    recipe: Recipe
    stage: str
    step: int  # steps of the stage that are done
    elapsed_s: float
    backbone: dict[str, Tensor]
    assembler: dict[str, Tensor]
    optimizer: dict[str, Any]
    best: Best | None = None
    evaluations_since: int = 0  # the best one

    def save(self, folder: Path) -> None:
        """Raises `StorageError` when the folder cannot be written."""
        facts = {
            "recipe": self.recipe.to_json(),
            "stage": self.stage,
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "evaluations_since": self.evaluations_since,
        }
        content = {
            "facts": json.dumps(facts),
            "backbone": self.backbone,
            "assembler": self.assembler,
            "optimizer": self.optimizer,
            "best": None if self.best is None else vars(self.best),
        }
        with atomic_path(folder / FILE_NAME) as temporary, open(temporary, "wb") as file:
            torch.save(content, file)

    @classmethod
    def load(cls, folder: Path) -> Checkpoint:
        """Raises `InputError` for a file that is not a checkpoint of this program."""
        path = folder / FILE_NAME
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            facts = json.loads(content["facts"])
            facts["recipe"] = Recipe.from_json(facts["recipe"])
            best = content.get("best")
            states = {name: content[name] for name in ("backbone", "assembler", "optimizer")}
            return cls(**facts, **states, best=None if best is None else Best(**best))
        except (RuntimeError, KeyError, TypeError, ValueError, OSError, EOFError, _unpickling_error()) as error:
            raise InputError(
                f"{path} is not a training checkpoint ({_first_line(error)}); remove it to start anew, "
                "or name the folder of an interrupted run"
            ) from error


def _unpickling_error() -> type[Exception]:
    import pickle  # only for the name of the error that torch raises on foreign bytes

    return pickle.UnpicklingError


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
