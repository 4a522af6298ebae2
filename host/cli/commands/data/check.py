"""`edgewright data check`: what a folder of labelled images holds, and which tasks follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ....errors import InputError, Interrupted
from ....wording import counted
from ....workspace import Workspace
from ...options import Json, WorkspaceDir
from ...output import Output

_SHOWN_LABELS = 40
_NAMED = 3
_UNBALANCED = 3.0


def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of labelled images, or a table of them.")],
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Show classes, attributes, splits, sizes, duplicates, files that cannot be read, and which tasks follow."""
    from ....data.findings import findings
    from ....data.labelled import survey_labelled

    _refuse_coco(folder)
    output = Output(json_)
    try:
        with output.bar("looking at images") as bar:
            survey = survey_labelled(folder, Workspace.find(workspace).images, bar.update)
    except KeyboardInterrupt as stop:
        raise Interrupted("stopped; run the same command again to continue") from stop
    found = findings(survey)
    _show_counts(output, found["classes"] | found["attributes"])
    for sentence in _sentences(found):
        output.say(sentence)
    output.done(found)


def _refuse_coco(folder: Path) -> None:
    if any((folder / "annotations").glob("instances_*.json")):
        raise InputError(f"{folder} is in COCO's format; check it with: edgewright data annotate {folder}")


def _show_counts(output: Output, groups: Mapping[str, Mapping[str, Mapping[str, int]]]) -> None:
    rows = [
        [name, label, *map(str, row.values()), str(sum(row.values()))]
        for name, table in groups.items()
        for label, row in table.items()
    ]
    header = ["group", "label", "train", "validation", "test", "all"]
    output.grid(header, rows[:_SHOWN_LABELS])
    if len(rows) > _SHOWN_LABELS:
        output.say(f"and {len(rows) - _SHOWN_LABELS} more labels")


def _sentences(found: Mapping[str, Any]) -> Iterator[str]:
    images, splits = found["images"], found["splits"]
    usable = f"{images['used']} of {counted(images['found'], 'image', 'images')} can be used"
    shares = ", ".join(f"{n} {name}" for name, n in splits.items())
    yield f"{usable}: {shares} ({_origin(images['splits_given'])})"
    yield _about_sizes(images["sizes"])
    for group, ratio in images["imbalance"].items():
        if ratio >= _UNBALANCED:
            yield f"{group} is unbalanced: the most frequent label has {ratio:g} times as many images as the rarest"
    if found["unreadable"]:
        yield f"not used: {_named(found['unreadable'])}"
    yield from _about_duplicates(found["duplicates"])
    yield from _about_tasks(found["tasks"])


def _origin(given: list[str]) -> str:
    if not given:
        return "splits drawn by content"
    drawn = [name for name in ("validation", "test") if name not in given]
    return "splits as given" + (f", {' and '.join(drawn)} drawn from train by content" if drawn else "")


def _about_sizes(sizes: Mapping[str, list[int]]) -> str:
    smallest, median, largest = (" x ".join(map(str, sizes[key])) for key in ("smallest", "median", "largest"))
    if smallest == largest:
        return f"all are {smallest} pixels"
    return f"from {smallest} to {largest} pixels, half of them up to {median}"


def _named(reasons: Mapping[str, str]) -> str:
    named = ", ".join(f"{name} ({reason})" for name, reason in list(reasons.items())[:_NAMED])
    return named + (f" and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else "")


def _about_duplicates(duplicates: Mapping[str, Any]) -> Iterator[str]:
    groups = duplicates["groups"]
    if not groups:
        yield "no picture is there twice"
        return
    saved_again = sum(not group["same_bytes"] for group in groups)
    there = counted(len(groups), "picture is", "pictures are")
    yield f"{there} there more than once, {saved_again} of them saved again or changed a little"
    if duplicates["left_out"]:
        yield f"left out, so that no split has a picture of another: {_named(duplicates['left_out'])}"
    unlike = [group["images"] for group in groups if not group["same_labels"]]
    if unlike:
        yield (
            f"{counted(len(unlike), 'picture has', 'pictures have')} different labels in different files, such as "
            f"{' and '.join(unlike[0][:2])}"
        )


def _about_tasks(tasks: Mapping[str, Any]) -> Iterator[str]:
    for each in tasks["which_of"]:
        examples = ", ".join(f'"{text}"' for text in each["examples"])
        yield (
            f"tasks, which of: {each['of_two_to_five']} choices of two to five of the {each['labels']} labels of "
            f"{each['group']}, such as {examples}"
        )
    yes_no = tasks["yes_no"]
    examples = ", ".join(f'"{each["task"]}" ({each["yes"]} of {each["of"]} yes)' for each in yes_no["examples"])
    yield f"tasks, yes or no: {yes_no['labels']} labels to combine, such as {examples}"
