"""`edgewright predict`: a delivered model on one's own images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ...workspace import Workspace
from ..output import Output

if TYPE_CHECKING:
    from ...domains.readers import Answered, Detected, FoundBox


def predict(
    model: Path,
    images: Sequence[Path],
    out: Path | None,
    device: str,
    min_score: float,
    workspace: Path | None,
    as_json: bool,
) -> None:
    from ...delivery.prediction import DeliveredModel, check_images, predict_each
    from ...devices.connect import open_session
    from ...devices.registry import Registry

    output, place = Output(as_json), Workspace.find(workspace)
    known = Registry(place.root).get(device)
    delivered = DeliveredModel.read(model)
    draws = delivered.reader.draws
    if out is not None and not draws:
        raise InputError(f"--out is for pictures with boxes; {model} answers questions and draws none")
    pictures: Sequence[Path | None] = picture_paths(images, out) if draws else [None] * len(images)
    check_images(images)
    with open_session(known, place.root) as session:
        found = zip(predict_each(delivered, images, session, min_score), pictures, strict=True)
        told = [_told(output, prediction, picture, min_score) for prediction, picture in found]
    output.done({"model": str(model), "task": delivered.task, "device": device, "images": told})


def picture_paths(images: Sequence[Path], out: Path | None) -> list[Path]:
    """Where each image's picture goes: `out` itself, or STEM.boxes.png in the folder `out` or the current one.

    Raises `InputError` where two pictures would be one file, or one of the images would be overwritten.
    """
    as_file = out is not None and not out.is_dir() and (out.suffix != "" or out.is_file())
    if as_file and out is not None:
        if len(images) > 1:
            raise InputError(f"--out must be a folder for {len(images)} images, got {out}")
        if out.suffix.lower() != ".png":
            raise InputError(f"pictures are written as PNG: take --out {out.with_suffix('.png')}, or a folder")
        paths = [out]
    else:
        paths = [(out or Path()) / f"{image.stem}.boxes.png" for image in images]
    _check_places(images, paths)
    return paths


def _check_places(images: Sequence[Path], paths: Sequence[Path]) -> None:
    taken: dict[Path, Path] = {}
    for image, path in zip(images, paths, strict=True):
        if path in taken:
            raise InputError(f"{taken[path]} and {image} would both be drawn in {path}; draw them one by one")
        taken[path] = image
    originals = {image.resolve() for image in images}
    for path in paths:
        if path.resolve() in originals:
            raise InputError(f"{path} is one of the images and would be overwritten; choose another --out")


def _told(output: Output, prediction: Detected | Answered, picture: Path | None, min_score: float) -> dict[str, Any]:
    """One image's result, on the terminal and as JSON."""
    from ...domains.readers import Answered

    if isinstance(prediction, Answered):
        output.say(f"{prediction.image}: {prediction.answer} ({prediction.probability:.1%})")
        return prediction.to_json()
    _draw(prediction, picture)
    n = len(prediction.boxes)
    said = f"{n} {'object' if n == 1 else 'objects'}" if n else f"nothing with a score above {min_score:g}"
    output.say(f"{prediction.image}: {said}; picture: {picture}")
    if n:
        output.grid(["category", "score", "x0", "y0", "x1", "y1"], [_row(each) for each in prediction.boxes])
    return {**prediction.to_json(), "picture": str(picture)}


def _row(each: FoundBox) -> list[str]:
    return [each.category, f"{each.score:.2f}", *(f"{value:.1f}" for value in each.box)]


def _draw(prediction: Detected, picture: Path | None) -> None:
    from ...domains.detection.drawing import LabelledBox, draw_boxes, write_png

    labelled = [LabelledBox(each.box, f"{each.category} {each.score:.2f}", each.index) for each in prediction.boxes]
    if picture is not None:
        write_png(picture, draw_boxes(prediction.picture, labelled))
