"""`edgewright supernet`: how good a trained supernet is, and which parts of a backbone can be gated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from ...errors import InputError
from ..options import DataDir, Json, MnistDir, SupernetDir, WorkspaceDir
from ..output import Output

if TYPE_CHECKING:
    from ...supernet.inspection import Inspection, SubnetSize

LIMITS = (0.03, 0.05, 0.1, 0.2, 0.5, 1.0)
_NAMED_LAYERS = 3

supernet_app = typer.Typer(help="Supernets and their backbones.", no_args_is_help=True, rich_markup_mode=None)


@supernet_app.command("evaluate")
def evaluate(
    supernet: SupernetDir = None,
    images: Annotated[int, typer.Option(help="Test images per task.")] = 500,
    seed: Annotated[int, typer.Option(help="Seed of the test images.")] = 0,
    card: Annotated[Path | None, typer.Option(help="A Markdown file to write a card to.")] = None,
    data: DataDir = None,
    mnist_dir: MnistDir = None,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Measure the accuracy of all tasks at several limits, separately for trained and held-out tasks."""
    from ...assembler.scoring import evaluate_tasks
    from ...files import write_atomic
    from ...report.card import card as card_of
    from ...workbench.workbench import Workbench

    output = Output(json_)
    with Workbench(workspace, output.say) as bench:
        net = bench.supernet(supernet, data=data, mnist=mnist_dir)
        trained, domain = net.trained, net.domain
    with output.bar("tasks") as bar:
        rows = evaluate_tasks(trained, domain, domain.tasks, LIMITS, images, seed, bar.update)
    summary = [_summary(limit, [row for row in rows if row.limit == limit]) for limit in LIMITS]
    output.grid(list(summary[0]), [[_cell(value) for value in row.values()] for row in summary])
    worst = sorted((row for row in rows if row.limit == 0.2), key=lambda row: row.accuracy)[:5]
    output.say("lowest at 20 %: " + "; ".join(f"{row.task} {row.accuracy:.1%}" for row in worst))
    if card is not None:
        write_atomic(card, card_of(trained, domain, rows, summary, images, seed).encode())
        output.say(f"card: {card}")
    tasks = [vars(row) for row in rows]
    output.done({"digest": trained.digest, "images": images, "seed": seed, "summary": summary, "tasks": tasks})


def _summary(limit: float, rows: list[Any]) -> dict[str, float]:
    import numpy as np

    trained = [row.accuracy for row in rows if not row.held_out]
    held_out = [row.accuracy for row in rows if row.held_out]
    return {
        "limit": limit,
        "trained_mean": float(np.mean(trained)),
        "trained_min": min(trained),
        "held_out_mean": float(np.mean(held_out)),
        "held_out_min": min(held_out),
        "ratio_mean": float(np.mean([row.ratio for row in rows])),
        "ratio_max": max(row.ratio for row in rows),
    }


def _cell(value: float) -> str:
    return f"{value:.1%}"


@supernet_app.command("inspect")
def inspect(
    backbone: Annotated[str, typer.Argument(help="A timm name, or module.path:callable for a module of your own.")],
    image_size: Annotated[
        int | None, typer.Option(help="Height and width in pixels. Default: the model's own.")
    ] = None,
    policy: Annotated[
        str, typer.Option(help="single: gate what one layer produces; coupled: residual streams too.")
    ] = "single",
    json_: Json = False,
) -> None:
    """Show which parts of a backbone can be gated, how small subnets get, and what stays whole and why."""
    from ...supernet.analysis.sites import Policy

    if policy not in get_args(Policy):
        raise InputError(f"--policy must be {' or '.join(get_args(Policy))}, got {policy!r}")
    from ...supernet.backbones import create_backbone
    from ...supernet.inspection import inspect_backbone

    output = Output(json_)
    made = create_backbone(backbone, image_size)
    inspection = inspect_backbone(made, cast(Policy, policy))
    header = ["site", "modules", "channels each", "axis", "consumers"]
    rows = [
        [
            site.name,
            str(site.width),
            str(site.block),
            "part" if site.name in inspection.in_parts else "whole",
            _some([consumer.module for consumer in site.consumers]),
        ]
        for site in inspection.plan.sites
    ]
    output.grid(header, rows)
    title = f"{backbone} at {made.input_shape[1]} x {made.input_shape[2]}, --policy {policy}"
    output.table(title, _numbers(inspection))
    _say_ungated(output, inspection)
    shape = list(made.input_shape)
    output.done({"backbone": backbone, "policy": policy, "input_shape": shape, **inspection.to_json()})


def _numbers(inspection: Inspection) -> dict[str, str]:
    summary = inspection.summary
    return {
        "sites": f"{summary.n_sites} with {summary.n_modules} modules",
        "governed": f"{summary.parameter_share:.1%} of the parameters, {summary.mac_share:.1%} of the MACs",
        "smallest subnet": _size(inspection.smallest),
        "largest subnet": _size(inspection.largest),
    }


def _size(size: SubnetSize) -> str:
    return f"{size.macs / 1e6:.2f} M MACs, {size.parameters / 1e6:.3f} M parameters, {size.modules} modules"


def _say_ungated(output: Output, inspection: Inspection) -> None:
    from ...supernet.inspection import grouped_by_reason

    for reason, layers in grouped_by_reason(inspection.plan.refused).items():
        output.say(f"ungated, {reason}: {_some(layers)}")


def _some(names: Sequence[str]) -> str:
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - _NAMED_LAYERS} more" if len(names) > _NAMED_LAYERS else ""
    return ", ".join(names[:_NAMED_LAYERS]) + more
