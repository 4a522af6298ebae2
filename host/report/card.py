"""The card of a trained supernet: how it was made and what it reaches, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..assembler.archive import TrainedSupernet
from ..assembler.scoring import TaskAccuracy
from ..domains.registry import DOMAINS
from ..tasks.domain import TaskDomain


def card(
    trained: TrainedSupernet,
    domain: TaskDomain,
    rows: Sequence[TaskAccuracy],
    summary: Sequence[Mapping[str, float]],
    n_images: int,
    seed: int,
) -> str:
    """Markdown; every figure is from `rows`, measured on at most `n_images` test images per task."""
    recipe = trained.facts["recipe"]
    settings, about = recipe["training"], DOMAINS.get(domain.name).about
    space = trained.supernet.space
    n_held_out = len(domain.held_out)
    n_trained = len(domain.tasks) - n_held_out
    train_min = trained.facts["train_s"] / 60
    n_parameters = sum(p.numel() for p in trained.supernet.backbone.parameters())
    lines = [
        f"# {recipe['name']}",
        "",
        f"A modular supernet for {about.title}: `{recipe['backbone']['name']}` with "
        f"{recipe['backbone']['arguments']}, {n_parameters:,} parameters, {len(space.sites)} sites, {space.total} "
        f"modules. Digest `{trained.digest}`.",
        "",
        "## How it was made",
        "",
        f"`edgewright train {recipe['name']}`: {_start(recipe)}{recipe['pretrain_steps']:,} steps of pre-training on "
        f"{about.pretraining} {_gates(recipe)}, {_joint(recipe)}, {recipe['calibrate_steps']} batches "
        f"to calibrate batch norm; batches of {settings['batch_size']}, seed {settings['seed']}, "
        f"{settings['precision']}, torch {trained.facts['torch']}, {train_min:.0f} minutes on two shared cores. "
        f"{about.images.format(data=domain.data)} {n_trained} of the {n_trained + n_held_out} tasks are trained; "
        f"{n_held_out} never are, nor is any combination of attributes that means the same.",
        "",
        "## What it reaches",
        "",
        f"{about.tests.format(n=n_images)} made of 1,000 other digits, image seed "
        f"{seed}; one training seed, so no spread over trainings.",
        "",
        f"| limit | {n_trained} trained tasks, mean | lowest | {n_held_out} held-out tasks, mean | lowest | mean ratio "
        "| largest ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += ["| " + " | ".join(f"{value:.1%}" for value in row.values()) + " |" for row in summary]
    lines += ["", "Held-out tasks, one by one:", "", _table([row for row in rows if row.held_out])]
    lines += ["", "The ten lowest of the trained tasks at a limit of 20 %:", ""]
    at_20 = sorted((r for r in rows if r.limit == 0.2 and not r.held_out), key=lambda row: row.accuracy)
    lines += [", ".join(f"{row.task.replace(', ', ' ')} {row.accuracy:.1%}" for row in at_20[:10]) + ".", ""]
    return "\n".join(lines)


def _start(recipe: Mapping[str, Any]) -> str:
    return f"from the weights of `{recipe['start']}`, as far as they fit, " if recipe.get("start") else ""


def _gates(recipe: Mapping[str, Any]) -> str:
    return "under random gates" if recipe.get("pretrain_min_ratio", 0.2) < 1 else "with all gates open"


def _joint(recipe: Mapping[str, Any]) -> str:
    kept, tuned = recipe.get("keep_limits", False), recipe.get("tune_steps", 0)
    said = f"{recipe['joint_steps']:,} steps of joint training{' with gates that keep their limit' if kept else ''}"
    return f"{said}, {tuned:,} more with gates that keep their limit" if tuned else said


def _table(rows: Sequence[TaskAccuracy]) -> str:
    limits = sorted({row.limit for row in rows})
    accuracy = {(row.task, row.limit): row.accuracy for row in rows}
    lines = ["| task | " + " | ".join(f"{limit:.0%}" for limit in limits) + " |", "|---" * (len(limits) + 1) + "|"]
    for task in dict.fromkeys(row.task for row in rows):
        cells = " | ".join(f"{accuracy[task, limit]:.1%}" for limit in limits)
        lines.append(f"| {task} | {cells} |")
    return "\n".join(lines)
