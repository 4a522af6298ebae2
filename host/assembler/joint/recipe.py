"""A recipe: task space, backbone and schedule, in one frozen object that travels with what it trained."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, Literal

import torch

from ...errors import InputError
from ...supernet.backbones import Backbone
from ..assembler import AssemblerConfig


@dataclass(frozen=True)
class Recipe:
    """How one supernet is trained. Steps are of `batch_size` samples, shared by all processes of a run.

    Pre-training teaches the backbone what all tasks ask about, under random gates (the paper cuts its modules from a
    pre-trained backbone); then backbone and assembler learn together, the gate loss ramped up over the first third.

    With `keep_limits` the discrete gates of the joint training are those that are deployed: no more of them open than
    the limit allows. The paper's are not cut in training, and at small limits what is deployed was never trained. A
    milder way is a third stage of `tune_steps` that keeps limits after a joint stage that did not, at `tune_lr_share`
    of its learning rates.
    `start` names a trained supernet whose weights are the first ones where they fit, a shipped one or a folder.
    `categories` are what detection is about, those of the data where there are none. `digit_augmentation` varies
    training images as their domain does; `mirror` turns half of them round, for photographs.
    In float64 one process and several give the same to the last digits, which no other precision does.
    The joint stage ends early after `patience` evaluations (0: never) without a better one; the best one is delivered.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str
    backbone: Backbone
    tasks: Literal["numvqa", "attrod"] = "numvqa"
    categories: tuple[str, ...] = ()
    start: str = ""
    assembler: AssemblerConfig = AssemblerConfig()
    seed: int = 0
    batch_size: int = 128
    pretrain_steps: int = 3000
    joint_steps: int = 12000
    calibrate_steps: int = 200
    pretrain_lr: float = 3e-3
    backbone_lr: float = 2e-3
    assembler_lr: float = 1e-3
    weight_decay: float = 0.02
    warmup_share: float = 0.05
    gate_loss_weight: float = 100.0
    gate_loss_ramp_share: float = 1 / 3
    keep_limits: bool = False
    tune_steps: int = 0
    tune_lr_share: float = 0.25
    semhash_noise: bool = False
    min_limit: float = 0.02
    pretrain_min_ratio: float = 0.2
    n_augmented_tasks: int = 2000
    augmented_share: float = 0.3
    even_counts_share: float = 0.5
    digit_augmentation: bool = True
    mirror: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["bfloat16", "float32", "float64"] = "bfloat16"
    checkpoint_every_s: float = 120.0
    evaluate_every: int = 1000
    patience: int = 0

    def __post_init__(self) -> None:
        for name, least in (
            ("pretrain_steps", 0), ("joint_steps", 1), ("calibrate_steps", 0), ("evaluate_every", 1), ("seed", 0),
            ("patience", 0), ("n_augmented_tasks", 0), ("tune_steps", 0),
        ):  # fmt: skip
            if getattr(self, name) < least:
                raise InputError(f"recipe {self.name!r}: {name} must be at least {least}, got {getattr(self, name)}")
        if self.batch_size < 2:
            raise InputError(f"recipe {self.name!r}: batch norm needs a batch_size of 2 or more, got {self.batch_size}")
        for name in (
            "augmented_share", "even_counts_share", "min_limit", "pretrain_min_ratio", "warmup_share", "tune_lr_share",
        ):  # fmt: skip
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"recipe {self.name!r}: {name} must lie in [0, 1], got {getattr(self, name)}")

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights; bfloat16 is for what is computed with them, where torch holds that to be safe."""
        return torch.float64 if self.precision == "float64" else torch.float32

    def with_options(self, **changes: Any) -> Recipe:
        """A copy with the given fields changed; those that are None stay as they are."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def without(self, ablations: Iterable[str]) -> Recipe:
        """A copy that lacks what each ablation takes away. Raises `InputError` for an unknown one."""
        recipe = self
        for name in ablations:
            if name not in ABLATIONS:
                raise InputError(f"unknown ablation {name!r}; there are: {', '.join(ABLATIONS)}")
            changes = dict(ABLATIONS[name])
            assembler = replace(recipe.assembler, **changes.pop("assembler", {}))
            recipe = replace(recipe, name=f"{recipe.name}, {name}", assembler=assembler, **changes)
        return recipe

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        """Raises `InputError` naming the first field that is unknown, missing or of another type."""
        from pydantic import TypeAdapter, ValidationError

        try:
            # As JSON text, where strict means that "12" is no number and a list is a tuple.
            return TypeAdapter(cls).validate_json(json.dumps(data), strict=True)
        except ValidationError as error:
            raise InputError(_first_problem(data, error.errors()[0])) from error
        except TypeError as error:
            raise InputError(f"a recipe holds numbers, texts, lists and tables only: {error}") from error


ABLATIONS: dict[str, dict[str, Any]] = {
    "single-gater": {"assembler": {"n_gaters": 1}},
    "shared-norm": {"assembler": {"shared_norm": True}},
    "literal-relu": {"assembler": {"literal_relu": True}},
    "semhash-noise": {"semhash_noise": True},
    "uncut-gates": {"keep_limits": False, "tune_steps": 0},
    "no-task-augmentation": {"augmented_share": 0.0, "n_augmented_tasks": 0},
    "no-pretraining": {"pretrain_steps": 0},
}
"""What each takes away or changes: the choices that the paper and its ambiguities leave open, one at a time."""


def _first_problem(data: Mapping[str, Any], problem: Any) -> str:
    names = [str(part) for part in problem["loc"]]
    where = ".".join(names) or "it"
    recipe = f"recipe {data.get('name')!r}" if isinstance(data, Mapping) and data.get("name") else "the recipe"
    if problem["type"] == "missing":
        return f"{recipe} lacks {where}"
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        parts: dict[str, Any] = {"backbone": Backbone, "assembler": AssemblerConfig}
        known = parts.get(names[0], Recipe) if len(names) > 1 else Recipe
        near = difflib.get_close_matches(names[-1], [each.name for each in fields(known)], 1)
        return f"{recipe} has no field {where}" + (f"; did you mean {near[0]}?" if near else "")
    return f"{recipe}: {where} is {problem['input']!r}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"
