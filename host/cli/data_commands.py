"""`edgewright data`: what is typed. What is done is in `data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Json, MnistDir, WorkspaceDir

data_app = typer.Typer(help="Data sets for detection.", no_args_is_help=True, rich_markup_mode=None)


@data_app.command("coloured-digits")
def coloured_digits(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The data set's folder; other splits may be in it.")],
    images: Annotated[int, typer.Option(help="How many.")] = 1000,
    side: Annotated[int, typer.Option(help="Height and width in pixels.")] = 96,
    seed: Annotated[int, typer.Option(help="Which images.")] = 0,
    split: Annotated[str, typer.Option(help="train, validation or test: they share no handwritten digit.")] = "train",
    even: Annotated[bool, typer.Option("--even", help="All categories and colours equally often.")] = False,
    crowds: Annotated[float, typer.Option(help="Share of images with a region annotated as a crowd.")] = 0.0,
    mnist_dir: MnistDir = None,
    json_: Json = False,
) -> None:
    """Make images of coloured handwritten digits in COCO's format. Interrupted, the same command goes on."""
    from .commands.data import coloured_digits as run

    run(folder, (split, images, side, seed, even, crowds), mnist_dir, json_)


@data_app.command("annotate")
def annotate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A data set in COCO's format, such as COCO 2017.")],
    categories: Annotated[
        str | None,
        typer.Option(help='Comma-separated, such as "car, person". Default: those of the known task spaces, else all.'),
    ] = None,
    split: Annotated[list[str] | None, typer.Option(help="Such as train2017; may be repeated. Default: all.")] = None,
    annotator: Annotated[str, typer.Option(help="pixels, or vqa: a model that answers questions.")] = "pixels",
    model: Annotated[
        str | None, typer.Option(help="With vqa: a ViLT's folder or name. Default: dandelin/vilt-b32-finetuned-vqa.")
    ] = None,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Find the colour of every object, and count. Kept in the workspace; interrupted, the same command goes on."""
    from .commands.data import AnnotateOptions
    from .commands.data import annotate as run

    run(folder, AnnotateOptions(categories, tuple(split or ()), annotator, model), workspace, json_)
