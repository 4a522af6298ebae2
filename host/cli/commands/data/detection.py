"""`edgewright data coloured-digits` and `annotate`: make a detection data set, and find the colours in one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ....errors import InputError, Interrupted
from ....wording import counted
from ....workspace import Workspace
from ...options import Json, MnistDir, WorkspaceDir
from ...output import Output

if TYPE_CHECKING:
    from ....domains.detection.coco.file import DetectionSet
    from ....domains.detection.colours.pixels import ColourAnnotator

ANNOTATORS = ("pixels", "vqa")
NO_COLOUR = "none"

Counts = Mapping[tuple[str, str | None], int]


@dataclass(frozen=True)
class AnnotateOptions:
    """The options of `edgewright data annotate`."""

    categories: str | None = None
    splits: tuple[str, ...] = ()
    annotator: str = "pixels"
    model: str | None = None


def coloured_digits(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The data set's folder, which may hold other splits.")],
    images: Annotated[int, typer.Option(help="How many.")] = 1000,
    side: Annotated[int, typer.Option(help="Height and width in pixels.")] = 96,
    seed: Annotated[int, typer.Option(help="Which images.")] = 0,
    split: Annotated[str, typer.Option(help="train, validation or test: they share no handwritten digit.")] = "train",
    even: Annotated[bool, typer.Option("--even", help="Make all categories and colours equally frequent.")] = False,
    crowds: Annotated[float, typer.Option(help="Share of images that have a region annotated as a crowd.")] = 0.0,
    mnist_dir: MnistDir = None,
    json_: Json = False,
) -> None:
    """Make images of coloured handwritten digits in COCO's format. Run it again to continue after an interruption."""
    from ....data.digits import load_digits
    from ....domains.detection.coco.file import CocoFile, detection_set
    from ....domains.detection.scenes.digit_set import DigitSet, write_digit_set

    digit_set, output = DigitSet(split, images, side, seed, even, crowds), Output(json_)
    try:
        with output.bar("drawing") as bar:
            written = write_digit_set(folder, digit_set, load_digits(mnist_dir), bar.update)
    except KeyboardInterrupt as stop:
        raise Interrupted("stopped; run the same command again to continue") from stop
    coco = CocoFile.read(written)
    dataset = detection_set(coco)
    _show_counts(output, dataset.categories, dataset.counts())
    made = counted(len(dataset.images), "image", "images")
    output.say(f"{written.images}: {made}; annotations: {written.annotations}")
    output.done(
        {
            "images": len(dataset.images),
            "objects": dataset.counts().total(),
            "crowds": _crowds(dataset),
            "folder": str(written.images),
            "annotations": str(written.annotations),
            "counts": _by_category(dataset.categories, dataset.counts()),
        }
    )


def annotate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A data set in COCO's format, such as COCO 2017.")],
    categories: Annotated[
        str | None,
        typer.Option(
            help='Comma-separated, such as "car, person". Default: those of the known task spaces, or else all.'
        ),
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="A split, such as train2017; may be repeated. Default: all.")
    ] = None,
    annotator: Annotated[str, typer.Option(help="pixels, or vqa (a model that answers questions).")] = "pixels",
    model: Annotated[
        str | None, typer.Option(help="With vqa: a ViLT's folder or name. Default: dandelin/vilt-b32-finetuned-vqa.")
    ] = None,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Find and count the colours of all objects. Results are kept; run it again to continue after an interruption."""
    options = AnnotateOptions(categories, tuple(split or ()), annotator, model)
    from ....domains.detection.coco.file import splits

    output = Output(json_)
    names = options.splits or tuple(splits(folder))
    if not names:
        raise InputError(
            f"no annotations in {folder}; expected {folder}/annotations/instances_SPLIT.json "
            f"and images in {folder}/SPLIT"
        )
    finder = _annotator(options)
    kept = Workspace.find(workspace)
    results = {name: _annotate_split(output, folder, name, options, finder, kept) for name in names}
    output.done({"annotator": finder.name, "splits": results})


def _annotate_split(
    output: Output, folder: Path, split: str, options: AnnotateOptions, annotator: ColourAnnotator, kept: Workspace
) -> dict[str, Any]:
    from ....domains.detection.coco.file import CocoFile, CocoFolder, detection_set
    from ....domains.detection.colours.cache import annotated_set, cache_path

    coco = CocoFile.read(CocoFolder.of(folder, split), _categories(options.categories), kept.decoded)
    try:
        with output.bar(f"looking at {split}") as bar:
            dataset = annotated_set(coco, annotator, kept.colours, bar.update)
    except KeyboardInterrupt as stop:
        raise Interrupted("stopped; run the same command again to continue") from stop
    written = detection_set(coco) if coco.has_colours else None
    path = cache_path(coco, annotator, kept.colours)
    images = counted(len(dataset.images), "image", "images")
    objects = counted(dataset.counts().total(), "object", "objects")
    output.say(f"{split}: {images}, {objects}, {counted(_crowds(dataset), 'crowd', 'crowds')}")
    _show_counts(output, dataset.categories, dataset.counts())
    for sentence in _remarks(dataset):
        output.say(sentence)
    agreement = _agreement(dataset, written) if written else None
    if agreement:
        shares = ", ".join(f"{name} {share:.1%}" for name, share in agreement.items())
        output.say(f"agreement with the colours in the file: {shares}")
    output.say(f"kept in {path}")
    return {
        "images": len(dataset.images),
        "objects": dataset.counts().total(),
        "crowds": _crowds(dataset),
        "left_out": dataset.left_out.reasons,
        "degenerate_boxes": dataset.n_degenerate,
        "counts": _by_category(dataset.categories, dataset.counts()),
        "agreement": agreement,
        "cache": str(path),
    }


def _annotator(options: AnnotateOptions) -> ColourAnnotator:
    if options.annotator not in ANNOTATORS:
        raise InputError(f"--annotator must be {' or '.join(ANNOTATORS)}, got {options.annotator!r}")
    if options.annotator == "vqa":
        from ....domains.detection.colours.vqa import DEFAULT_MODEL, VqaColours

        return VqaColours.of_model(options.model or DEFAULT_MODEL)
    if options.model is not None:
        raise InputError(f"--model applies to --annotator vqa only; got --model {options.model}")
    from ....domains.detection.colours.pixels import PixelColours

    return PixelColours()


def _categories(given: str | None) -> list[str] | None:
    if given is None:
        return None
    names = [" ".join(name.split()) for name in given.split(",")]
    if not all(names):
        raise InputError(f'--categories takes names separated by commas, such as "car, person", got {given!r}')
    return list(dict.fromkeys(names))


def _degenerate(n: int) -> str:
    too_small = "less than a pixel wide or high"
    return f"{counted(n, f'box {too_small} was', f'boxes {too_small} were')} left out"


def _remarks(dataset: DetectionSet) -> list[str]:
    remarks = [dataset.left_out.sentence()] if len(dataset.left_out) else []
    if dataset.n_degenerate:
        remarks.append(_degenerate(dataset.n_degenerate))
    return remarks


def _show_counts(output: Output, categories: Sequence[str], counts: Counts) -> None:
    table = _by_category(categories, counts)
    header = ["category", *next(iter(table.values()), {}), "all"]
    rows = [[name, *map(str, row.values()), str(sum(row.values()))] for name, row in table.items()]
    output.grid(header, rows)


def _by_category(categories: Sequence[str], counts: Counts) -> dict[str, dict[str, int]]:
    from ....domains.detection.attrod import COLOURS

    return {
        name: {colour or NO_COLOUR: counts.get((name, colour), 0) for colour in (*COLOURS, None)} for name in categories
    }


def _crowds(dataset: DetectionSet) -> int:
    return sum(each.crowd for image in dataset.images for each in image.objects)


def _agreement(dataset: DetectionSet, written: DetectionSet) -> dict[str, float]:
    """The share of objects whose colour in the file, or the lack of one, equals the one found."""
    truth = {image.path: image.objects for image in written.images}
    total: Counter[str] = Counter()
    same: Counter[str] = Counter()
    for image in dataset.images:
        for seen, true in zip(image.objects, truth[image.path], strict=True):
            if not true.crowd:
                total[true.colour or NO_COLOUR] += 1
                same[true.colour or NO_COLOUR] += seen.colour == true.colour
    return {name: same[name] / count for name, count in sorted(total.items())}
