"""A recipe: task space, backbone and schedule, in one frozen object that travels with what it trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from ..assembler.assembler import AssemblerConfig
from ..errors import InputError


@dataclass(frozen=True)
class Backbone:
    """A timm model by name and arguments; `image_shape` is one input's `(C, H, W)`."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    image_shape: tuple[int, int, int] = (1, 56, 56)


@dataclass(frozen=True)
class Recipe:
    """How one supernet is trained. Steps are of `batch_size` samples.

    Pre-training teaches the backbone digit counts under random gates (the paper cuts its modules from a pre-trained
    backbone); then backbone and assembler learn together, the gate loss ramped up over the first third.
    """

    name: str
    backbone: Backbone
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
    min_limit: float = 0.02
    pretrain_min_ratio: float = 0.2
    n_augmented_tasks: int = 2000
    augmented_share: float = 0.3
    even_counts_share: float = 0.5
    digit_augmentation: bool = True
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    checkpoint_every_s: float = 120.0
    evaluate_every: int = 1000

    def __post_init__(self) -> None:
        for name in ("batch_size", "pretrain_steps", "joint_steps", "evaluate_every"):
            if getattr(self, name) < 1:
                raise InputError(f"recipe {self.name!r}: {name} must be at least 1, got {getattr(self, name)}")
        if self.batch_size < 2:
            raise InputError(f"recipe {self.name!r}: batch norm needs a batch_size of 2 or more, got {self.batch_size}")

    def with_options(self, **changes: Any) -> Recipe:
        """A copy with the given fields changed; those that are None stay as they are."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Recipe:
        unknown = set(data) - {f.name for f in fields(cls)}
        if unknown:
            raise InputError(f"a recipe has no field {', '.join(sorted(unknown))}")
        backbone = Backbone(
            data["backbone"]["name"], data["backbone"]["arguments"], tuple(data["backbone"]["image_shape"])
        )
        return cls(**{**data, "backbone": backbone, "assembler": AssemblerConfig(**data["assembler"])})


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="numvqa-resnet",
            backbone=Backbone(
                "resnet18",
                {"in_chans": 1, "num_classes": 2, "channels": [24, 48, 96, 160], "zero_init_last": False},
            ),
        ),
    )
}


def find_recipe(name: str) -> Recipe:
    """The shipped recipe of this name. Raises `InputError`."""
    if name not in RECIPES:
        raise InputError(f"unknown recipe {name!r}; there are: {', '.join(RECIPES)}")
    return RECIPES[name]
