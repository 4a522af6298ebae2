"""`edgewright supernet`: what is typed. What is done is in `training` and `supernets`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import DataDir, Json, MnistDir, SupernetDir, WorkspaceDir

supernet_app = typer.Typer(help="Supernets and their backbones.", no_args_is_help=True, rich_markup_mode=None)


@supernet_app.command("evaluate")
def supernet_evaluate(
    supernet: SupernetDir = None,
    images: Annotated[int, typer.Option(help="Test images per task.")] = 500,
    seed: Annotated[int, typer.Option(help="Which test images.")] = 0,
    card: Annotated[Path | None, typer.Option(help="Write a card (Markdown) there.")] = None,
    data: DataDir = None,
    mnist_dir: MnistDir = None,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Accuracy of all tasks at several limits, trained and held-out tasks apart."""
    from .commands.train import evaluate as run

    run(supernet, images, seed, card, data, mnist_dir, workspace, json_)


@supernet_app.command("inspect")
def supernet_inspect(
    backbone: Annotated[str, typer.Argument(help="A timm name, or module.path:callable for a module of your own.")],
    image_size: Annotated[int | None, typer.Option(help="Pixels a side. Default: the model's own.")] = None,
    policy: Annotated[
        str, typer.Option(help="single: what one layer makes is a site; coupled: residual streams too.")
    ] = "single",
    json_: Json = False,
) -> None:
    """What of a backbone can be gated, how small its subnets get, and what stays whole and why."""
    from .commands.supernet import inspect as run

    run(backbone, image_size, policy, json_)
