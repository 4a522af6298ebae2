"""`edgewright predict`: run a delivered model on the user's images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import InputError
from ..options import Json, WorkspaceDir
from ..output import Output

if TYPE_CHECKING:
    from ...domains.protocol import Prediction


SHEET = "predictions.png"


def predict(
    model: Annotated[Path, typer.Argument(help="A model that customize wrote, with its manifest beside it.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files of any size.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="A .png file, or a folder. Default: IMAGE.boxes.png, or predictions.png for the answers about several "
            "images, in the current folder."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Name of the device.")] = "local",
    min_score: Annotated[float, typer.Option(help="Show boxes with at least this score, between 0 and 1.")] = 0.3,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Run a model on images, on a device: draws boxes into a picture, or prints an answer."""
    from ...delivery.prediction import DeliveredModel, check_images, predict_each
    from ...workbench.workbench import Workbench

    output = Output(json_)
    with Workbench(workspace, output.say) as bench:
        target = bench.device(device)
        delivered = DeliveredModel.read(model)
        draws = delivered.reader.draws
        sheet = None if draws else sheet_path(images, out)
        pictures: Sequence[Path | None] = picture_paths(images, out) if draws else [None] * len(images)
        check_images(images)
        found = zip(predict_each(delivered, images, target.session, min_score), pictures, strict=True)
        predictions = []
        told = []
        for prediction, picture in found:
            predictions.append(prediction)
            told.append(_told(output, prediction, picture))
        if sheet is not None:
            delivered.reader.draw_sheet(predictions, sheet)
            output.say(f"all on one sheet: {sheet}")
    result = {"model": str(model), "task": delivered.task, "device": device, "images": told}
    output.done(result if sheet is None else {**result, "sheet": str(sheet)})


def sheet_path(images: Sequence[Path], out: Path | None) -> Path | None:
    """Where the sheet of all images goes: `out` or, for several images, predictions.png in it or in the current folder.

    Raises `InputError` where one of the images would be overwritten, and for a file that is no PNG.
    """
    if out is None and len(images) == 1:
        return None
    path = out or Path(SHEET)
    if path.is_dir():
        path = path / SHEET
    if path.suffix.lower() != ".png":
        raise InputError(f"pictures are written as PNG files: use --out {path.with_suffix('.png')}, or a folder")
    _check_paths(images, [path])
    return path


def picture_paths(images: Sequence[Path], out: Path | None) -> list[Path]:
    """Where each image's picture goes: `out` itself, or STEM.boxes.png in the folder `out` or the current one.

    Raises `InputError` where two pictures would be one file, or one of the images would be overwritten.
    """
    as_file = out is not None and not out.is_dir() and (out.suffix != "" or out.is_file())
    if as_file and out is not None:
        if len(images) > 1:
            raise InputError(f"--out must be a folder for {len(images)} images, got {out}")
        if out.suffix.lower() != ".png":
            raise InputError(f"pictures are written as PNG files: use --out {out.with_suffix('.png')}, or a folder")
        paths = [out]
    else:
        paths = [(out or Path()) / f"{image.stem}.boxes.png" for image in images]
    _check_paths(images, paths)
    return paths


def _check_paths(images: Sequence[Path], paths: Sequence[Path]) -> None:
    taken: dict[Path, Path] = {}
    for image, path in zip(images, paths, strict=False):
        if path in taken:
            raise InputError(f"{taken[path]} and {image} would both be written to {path}; predict them one at a time")
        taken[path] = image
    originals = {image.resolve() for image in images}
    for path in paths:
        if path.resolve() in originals:
            raise InputError(f"{path} is one of the images and would be overwritten; choose another --out")


def _told(output: Output, prediction: Prediction, picture: Path | None) -> dict[str, Any]:
    """One image's result, on the terminal and as JSON."""
    if picture is None:
        output.say(f"{prediction.image}: {prediction.sentence}")
        told: dict[str, Any] = prediction.to_json()
    else:
        prediction.draw(picture)
        output.say(f"{prediction.image}: {prediction.sentence}; picture: {picture}")
        told = {**prediction.to_json(), "picture": str(picture)}
    if prediction.rows:
        header, *rows = prediction.rows
        output.grid(header, rows)
    return told
