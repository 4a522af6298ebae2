"""`edgewright report`: one self-contained page per device, or its charts as pictures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InputError
from ...workspace import Workspace
from ..campaigns import profile_command, suggesting_profile
from ..options import Json, Numbers, SupernetDir
from ..output import Output

if TYPE_CHECKING:
    from ...report.page_data import PageData
    from ...workbench.supernet import SupernetBench
    from ...workbench.workbench import Workbench

FORMATS = ("html", "png", "svg")


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A workspace with measurements.")],
    device: Annotated[
        str | None, typer.Option(help="Name of the device. Default: the only one that was profiled.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Default: DIR/reports/DEVICE.html, or a folder of pictures.")] = None,
    format_: Annotated[str, typer.Option("--format", help="html, or png or svg for the charts alone.")] = "html",
    precision: Numbers = "float32",
    supernet: SupernetDir = None,
    json_: Json = False,
) -> None:
    """Write one page on a device: predictions, drift, learning curve, Pareto front, gates, verifications."""
    if format_ not in FORMATS:
        raise InputError(f"--format must be one of {', '.join(FORMATS)}, got {format_!r}")
    if not folder.is_dir() or not Workspace(folder).store.is_file():
        raise InputError(
            f"{folder} is not a workspace with measurements; profile a device first: edgewright profile DEVICE"
        )
    started = time.monotonic()
    output = Output(json_)
    from ...domains.registry import DOMAINS
    from ...report.gather import gather, page_data
    from ...workbench.workbench import Workbench

    with Workbench(folder, output.say) as bench:
        net = bench.supernet(supernet, precision)
        name = _profiled_device(bench, net, device)
        with suggesting_profile(name, precision, supernet):
            found = gather(bench.measured(name, net))
    data = page_data(found, DOMAINS.get(net.trained.domain_name).tasks(net.trained.tasks))
    paths = _write(data, format_, out, bench.workspace, precision)
    output.say(f"written in {time.monotonic() - started:.1f} s: {', '.join(map(str, paths))}")
    output.done({"device": data.device, "campaign": data.verdict.word, "files": [str(path) for path in paths]})


def _profiled_device(bench: Workbench, net: SupernetBench, device: str | None) -> str:
    """The requested device: it was profiled, but may no longer be in the registry."""
    campaigns = bench.store.campaigns(source=net.source)
    profiled = sorted({campaign.device for campaign in campaigns})
    if device is None and len(profiled) > 1:
        names = ", ".join(profiled)
        raise InputError(f"several devices were profiled with this supernet, {names}: name one with --device")
    if not profiled or (device is not None and device not in profiled):
        raise InputError(
            f"{bench.store.path} has no records of {device or 'any device'} with this supernet; "
            f"run `{profile_command(device or 'DEVICE', net.precision, net.named)}` first"
        )
    return device or profiled[0]


def _write(data: PageData, form: str, out: Path | None, workspace: Workspace, precision: str) -> list[Path]:
    from ...files import write_atomic

    stem = data.device if precision == "float32" else f"{data.device}-{precision}"
    if form == "html":
        from ...report.page import render

        path = out or workspace.reports / f"{stem}.html"
        write_atomic(path, render(data))
        return [path]
    from ...report.pictures import pictures

    paths, target = [], out or workspace.reports / stem
    for name, content in pictures(data, form):
        paths.append(target / f"{name}.{form}")
        write_atomic(paths[-1], content)
    return paths
