"""Brings recipes and checkpoints of earlier versions, which had one flat table, to today's form.

Flat recipes are in users' TOML files, in the facts of the shipped supernets, and in checkpoints without a version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor

_TRAINING = (
    "seed", "batch_size", "weight_decay", "warmup_share", "device", "precision", "checkpoint_every_s", "evaluate_every",
    "patience",
)  # fmt: skip
_DOMAIN = {
    "numvqa": {"even_counts_share": "even_counts_share", "digit_augmentation": "augmentation"},
    "attrod": {"categories": "categories", "digit_augmentation": "augmentation", "mirror": "mirror"},
}
"""Old name to new name, by the domain. A flat recipe also had the fields of the other domain, which meant nothing."""


def upgraded(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's data with `[training]` and `[domain]` tables; one that has either is of today's form."""
    if "training" in recipe or "domain" in recipe:
        return dict(recipe)
    name = recipe.get("tasks", "numvqa")
    names = _DOMAIN.get(name, {})
    moved = {"tasks", *_TRAINING, *(old for each in _DOMAIN.values() for old in each)}
    return {
        **{key: value for key, value in recipe.items() if key not in moved},
        "training": {key: recipe[key] for key in _TRAINING if key in recipe},
        "domain": {"name": name, **{new: recipe[old] for old, new in names.items() if old in recipe}},
    }


def upgraded_checkpoint(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a checkpoint that names `backbone` and `assembler`, as version 2."""
    facts = json.loads(content["facts"])
    recipe, since, best = upgraded(facts["recipe"]), facts["evaluations_since"], content.get("best")
    kept = None
    if best is not None:
        kept = {"step": best["step"], "value": best["accuracy"], "score": best["accuracy"], "modules": _modules(best)}
    told = {name: facts[name] for name in ("stage", "step", "elapsed_s")}
    return {
        "version": 2,
        "facts": json.dumps({**told, "settings": {"recipe": recipe}}),
        "modules": _modules(content),
        "optimizers": [content["optimizer"]],
        "hooks": {
            "evaluation": {"best": kept, "since_best": since},
            "early stop": {"out_of_patience": 0 < recipe["training"]["patience"] <= since},
        },
    }


def _modules(states: Mapping[str, Any]) -> dict[str, dict[str, Tensor]]:
    backbone = {f"backbone.{name}": tensor for name, tensor in states["backbone"].items()}
    return {"supernet": backbone, "assembler": states["assembler"]}
