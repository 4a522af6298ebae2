"""A trained supernet on disk: one folder, safetensors and JSON, nothing that could run code when it is loaded."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..domains.registry import DOMAINS
from ..errors import InputError
from ..files import make_dir, write_atomic
from ..shipped import shipped_supernets
from ..spaces.gates import SubnetSpace
from ..supernet.backbones import build_backbone
from ..supernet.plan import SupernetPlan
from ..supernet.supernet import Supernet
from ..supernet.weights import BACKBONE, damaged, read_weights
from ..tasks import TaskSpace
from .assembler import Assembler, AssemblerConfig
from .joint.upgrade import upgraded

FORMAT = "edgewright-supernet"
VERSION = 1
FACTS, ASSEMBLER = "supernet.json", "assembler.safetensors"


@dataclass(frozen=True, eq=False)
class TrainedSupernet:
    """A supernet, its assembler, and the tasks they are for; `facts` holds the recipe and the run's figures."""

    supernet: Supernet
    assembler: Assembler
    tasks: TaskSpace
    facts: dict[str, Any]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        channels, height, width = self.facts["recipe"]["backbone"]["image_shape"]
        return channels, height, width

    @property
    def domain_name(self) -> str:
        """The task domain that it was trained for."""
        return str(self.facts["recipe"]["domain"]["name"])

    @cached_property
    def digest(self) -> str:
        """A digest of structure and weights: two supernets with the same digest give the same templates."""
        hasher = hashlib.sha256(self.supernet.space.digest.encode())
        for name, tensor in self.supernet.backbone.state_dict().items():
            hasher.update(name.encode() + tensor.detach().contiguous().numpy().tobytes())
        return hasher.hexdigest()[:16]

    def save(self, folder: Path) -> None:
        """Write the folder. The JSON comes last, so a folder that has it is complete. Raises `StorageError`."""
        from safetensors.torch import save

        make_dir(folder)
        write_atomic(folder / BACKBONE, save(_contiguous(self.supernet.backbone)))
        write_atomic(folder / ASSEMBLER, save(_contiguous(self.assembler)))
        facts = {
            "format": FORMAT,
            "version": VERSION,
            "digest": self.digest,
            "tasks": self.tasks.to_json(),
            "assembler": self.assembler.config.to_json(),
            "plan": json.loads(self.supernet.plan.to_json()),
            "facts": self.facts,
        }
        write_atomic(folder / FACTS, json.dumps(facts, indent=1).encode())

    @classmethod
    def load(cls, folder: Path) -> TrainedSupernet:
        """Raises `InputError` when the folder is missing, corrupt, foreign or newer than this program."""
        data = _read_facts(folder)
        try:
            plan = SupernetPlan.from_json(json.dumps(data["plan"]))
            facts = {**data["facts"], "recipe": upgraded(data["facts"]["recipe"])}
            recipe_backbone = facts["recipe"]["backbone"]
            tasks = DOMAINS.get(facts["recipe"]["domain"]["name"]).space(data["tasks"])
            config = AssemblerConfig(**data["assembler"])
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(folder / FACTS, error) from error
        backbone = build_backbone(recipe_backbone["name"], recipe_backbone["arguments"])
        _load_weights(backbone, folder / BACKBONE)
        supernet = Supernet(backbone.eval(), plan)
        assembler = Assembler(tasks, supernet.space, config).eval()
        _load_weights(assembler, folder / ASSEMBLER)
        trained = cls(supernet, assembler, tasks, facts)
        if trained.digest != data.get("digest"):
            raise InputError(f"{folder} is damaged: the weights do not match their digest; copy the folder again")
        return trained


def domain_of(folder: Path) -> str:
    """The task domain that the supernet in a folder was trained for; its weights are not read. Raises `InputError`."""
    data = _read_facts(folder)
    try:
        return str(upgraded(data["facts"]["recipe"])["domain"]["name"])
    except (KeyError, TypeError) as error:
        raise damaged(folder / FACTS, error) from error


def subnets_of(folder: Path) -> SubnetSpace:
    """The subnets of the supernet in a folder; its weights are not read. Raises `InputError`."""
    data = _read_facts(folder)
    try:
        plan = SupernetPlan.from_json(json.dumps(data["plan"]))
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(folder / FACTS, error) from error
    return SubnetSpace(plan.space, plan.layers)


def _contiguous(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.contiguous() for name, tensor in module.state_dict().items()}


def _read_facts(folder: Path) -> dict[str, Any]:
    path = folder / FACTS
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(
            f"no supernet in {folder} ({FACTS} is missing); train one with `edgewright train`, or "
            f"name a shipped one: {', '.join(shipped_supernets())}"
        ) from error
    except (OSError, ValueError) as error:
        raise damaged(path, error) from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InputError(f"{path} is not an edgewright supernet; name a folder that `edgewright train` wrote")
    if data.get("version") != VERSION:
        raise InputError(f"{path} has version {data.get('version')}, this program reads {VERSION}; update edgewright")
    return data


def _load_weights(module: nn.Module, path: Path) -> None:
    try:
        module.load_state_dict(read_weights(path))
    except RuntimeError as error:
        raise damaged(path, error) from error
