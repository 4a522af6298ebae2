"""`edgewright report`: one self-contained page per device, or its charts as pictures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError
from ...files import write_atomic
from ...workspace import Workspace
from ..output import Output
from .profile import load_supernet, profile_command

if TYPE_CHECKING:
    from edgewright.device_agent.template import Template

    from ...assembler.archive import TrainedSupernet
    from ...profiling.store.store import Store
    from ...report.gather import Gathered

FORMATS = ("html", "png", "svg")


def report(
    folder: Path,
    device: str | None,
    supernet: Path | None,
    out: Path | None,
    form: str,
    precision: str,
    as_json: bool,
) -> None:
    if form not in FORMATS:
        raise InputError(f"--format must be one of {', '.join(FORMATS)}, got {form!r}")
    if not folder.is_dir() or not Workspace(folder).store.is_file():
        raise InputError(
            f"{folder} is not a workspace with measurements; profile a device first: edgewright profile DEVICE"
        )
    started = time.monotonic()
    output, place = Output(as_json), Workspace.find(folder)
    from ...domains.opening import tasks_of
    from ...profiling.store.store import Store
    from ...report.gather import page_data

    with Store.open(place.store) as store:
        trained, template = load_supernet(supernet, place, output, precision)
        found = _gather(store, device, trained, template, precision, supernet)
    data = page_data(found, tasks_of(trained.domain_name, trained.tasks))
    stem = data.device if precision == "float32" else f"{data.device}-{precision}"
    if form == "html":
        from ...report.page import render

        paths = [out or place.reports / f"{stem}.html"]
        write_atomic(paths[0], render(data))
    else:
        from ...report.pictures import pictures

        target = out or place.reports / stem
        paths = []
        for name, content in pictures(data, form):
            paths.append(target / f"{name}.{form}")
            write_atomic(paths[-1], content)
    output.say(f"written in {time.monotonic() - started:.1f} s: {', '.join(map(str, paths))}")
    output.done({"device": data.device, "campaign": data.verdict.word, "files": [str(path) for path in paths]})


def _gather(
    store: Store,
    device: str | None,
    trained: TrainedSupernet,
    template: Template,
    precision: str,
    supernet: Path | None,
) -> Gathered:
    from ...report.gather import gather
    from ...workbench.profiles import campaign_with_records, template_sha256

    profiled = sorted({campaign.device for campaign in store.campaigns(source=template_sha256(template))})
    if device is None and len(profiled) > 1:
        names = ", ".join(profiled)
        raise InputError(f"several devices were profiled with this supernet, {names}: name one by --device")
    if not profiled or (device is not None and device not in profiled):
        raise InputError(
            f"{store.path} has no records of {device or 'any device'} with this supernet; "
            f"run `{profile_command(device or 'DEVICE', precision, supernet)}` first"
        )
    campaign, records = campaign_with_records(store, device or profiled[0], template)
    if campaign is None:
        raise InputError(
            f"{device or profiled[0]!r} has no records with this supernet that the agent measured; "
            f"run `{profile_command(device or profiled[0], precision, supernet)}` first"
        )
    return gather(store, campaign, records, trained, template, precision)
