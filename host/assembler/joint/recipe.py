"""A joint recipe: task domain, backbone and schedule, in one frozen object, stored with the supernet it trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

from ...domains.protocol import DomainKind
from ...domains.registry import DOMAINS
from ...errors import InputError
from ...supernet.backbones import Backbone
from ...tables import read_table
from ...training.objective import Sampling
from ...training.settings import TrainingSettings
from ..assembler import AssemblerConfig
from .upgrade import upgraded


@dataclass(frozen=True)
class DomainTable:
    """A task domain by its name, and its own settings."""

    name: str
    settings: Any

    @property
    def kind(self) -> DomainKind:
        return DOMAINS.get(self.name)

    @classmethod
    def of(cls, table: Any) -> DomainTable:
        """Raises `InputError` for an unknown domain, and for settings that it does not have."""
        if not isinstance(table, Mapping) or not isinstance(table.get("name"), str):
            raise InputError(f"`domain` must be a table with a name, such as one of {', '.join(DOMAINS.names)}")
        own = {name: value for name, value in table.items() if name != "name"}
        return cls(table["name"], DOMAINS.get(table["name"]).settings(own))

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, **asdict(self.settings)}


@dataclass(frozen=True)
class JointRecipe:
    """How one supernet and its assembler are trained together. Steps are of `training.batch_size` samples.

    Pre-training teaches the backbone what all tasks ask about, under random gates (the paper cuts its modules from a
    pre-trained backbone); then backbone and assembler learn together, the gate loss ramped up over the first third.
    The joint stage ends early where `training.patience` does, and the tuning stage is then left out; the best
    evaluation of the joint stage is delivered.

    Attributes:
        domain: the tasks, and what only their kind knows about.
        start: a trained supernet whose weights are the first ones where they fit, a shipped one or a folder; or a file
            of pre-trained weights, such as timm's.
        tune_steps: of a third stage, which keeps limits after a joint stage that did not, at `tune_lr_share` of its
            learning rates.
        keep_limits: whether the discrete gates of the joint stage are those that are deployed: no more of them open
            than the limit allows. The paper's are not cut in training, and at small limits what is deployed was never
            trained.
        semhash_noise: whether noise is added to the assembler's weights in training.
        min_limit: the lowest activation limit that is trained.
        pretrain_min_ratio: the lowest share of open gates in pre-training.
        open_share: samples that are added to each batch of the later stages, as a share of it: they see all gates open
            and learn what pre-training teaches, so that the whole backbone stays a good network of its own. Only for
            domains whose tasks are answered by the outputs of pre-training.
        n_augmented_tasks, augmented_share: attribute combinations outside the tasks, and how often they are asked for.
    """

    name: str
    backbone: Backbone
    domain: DomainTable
    training: TrainingSettings = TrainingSettings()
    assembler: AssemblerConfig = AssemblerConfig()
    start: str = ""
    pretrain_steps: int = 3000
    joint_steps: int = 12000
    tune_steps: int = 0
    calibrate_steps: int = 200
    pretrain_lr: float = 3e-3
    backbone_lr: float = 2e-3
    assembler_lr: float = 1e-3
    tune_lr_share: float = 0.25
    gate_loss_weight: float = 100.0
    gate_loss_ramp_share: float = 1 / 3
    keep_limits: bool = False
    semhash_noise: bool = False
    min_limit: float = 0.02
    pretrain_min_ratio: float = 0.2
    open_share: float = 0.0
    n_augmented_tasks: int = 2000
    augmented_share: float = 0.3

    def __post_init__(self) -> None:
        for name, least in (
            ("pretrain_steps", 0), ("joint_steps", 1), ("calibrate_steps", 0), ("tune_steps", 0),
            ("n_augmented_tasks", 0),
        ):  # fmt: skip
            if getattr(self, name) < least:
                raise InputError(f"`{name}` must be at least {least}, got {getattr(self, name)}")
        for name in (
            "augmented_share", "min_limit", "pretrain_min_ratio", "open_share", "tune_lr_share", "gate_loss_ramp_share",
        ):  # fmt: skip
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"`{name}` must lie in [0, 1], got {getattr(self, name)}")

    @cached_property
    def sampling(self) -> Sampling:
        """What batches are drawn by."""
        return Sampling(
            self.training.seed, self.training.batch_size, self.min_limit, self.augmented_share, self.n_augmented_tasks
        )

    def with_options(self, **changes: Any) -> JointRecipe:
        """A copy with the given fields changed, the training settings' among them; those that are None stay."""
        given = {name: value for name, value in changes.items() if value is not None}
        own = {name: given.pop(name) for name in list(given) if name in _OWN}
        return replace(self, training=replace(self.training, **given), **own)

    def with_outputs(self, n_outputs: int) -> JointRecipe:
        """A copy whose backbone has so many outputs. Raises `InputError` where the recipe says another number."""
        said = self.backbone.arguments.get("num_classes", n_outputs)
        if said != n_outputs:
            raise InputError(
                f"recipe {self.name!r} sets `num_classes` to {said}, but its tasks need {n_outputs}; leave it out"
            )
        arguments = {**self.backbone.arguments, "num_classes": n_outputs}
        return replace(self, backbone=replace(self.backbone, arguments=arguments))

    def without(self, ablations: Iterable[str]) -> JointRecipe:
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
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        tables = {name: asdict(getattr(self, name)) for name in ("backbone", "training", "assembler")}
        return {**own, **tables, "domain": self.domain.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> JointRecipe:
        """Also of recipes as they were before `[training]` and `[domain]` were tables.

        Raises `InputError` naming the first field that is unknown, missing or of another type.
        """
        table = dict(upgraded(data))
        what = f"recipe {table['name']!r}" if table.get("name") else "the recipe"
        try:
            return _read(table, what)
        except InputError as error:
            raise error if what in str(error) else InputError(f"{what}: {error}") from error


_OWN = {each.name for each in fields(JointRecipe)}


def _read(table: Mapping[str, Any], what: str) -> JointRecipe:
    """The domain reads its own table, the recipe all else."""
    if "domain" not in table:
        raise InputError(f"{what} lacks domain")
    domain = DomainTable.of(table["domain"])
    recipe = read_table(JointRecipe, {**table, "domain": {"name": domain.name, "settings": {}}}, what)
    return replace(recipe, domain=domain)


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
