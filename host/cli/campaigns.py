"""Shared by commands that measure or predict subnets: the progress bar, the sentences and the JSON."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..wording import counted
from .output import Bar, Output

if TYPE_CHECKING:
    from ..predictors.judging.report import PredictorReport
    from ..profiling.progress import Progress
    from ..workbench.campaigns import Profiled
    from ..workbench.on_device import SupernetOnDevice
    from ..workbench.options import CampaignOptions


def profile_with_bar(output: Output, pair: SupernetOnDevice, options: CampaignOptions) -> Profiled:
    """A campaign with a progress bar, and one sentence at its end."""
    with output.bar(f"profiling {pair.device.name}") as bar:
        profiled = pair.profile(options, shown_on(bar))
    output.say(profiled_sentence(profiled))
    for sentence in profiled.disturbances:
        output.say(f"disturbed: {sentence}")
    return profiled


def shown_on(bar: Bar) -> Callable[[Progress], None]:
    def show(at: Progress) -> None:
        failed = f", {at.last.error.kind}" if at.last.error else ""
        bar.update(at.done, at.total, f"{at.rate_per_s:.1f}/s{failed}")

    return show


def profiled_sentence(profiled: Profiled) -> str:
    summary = profiled.summary
    added = f", {summary.overhead_ms:.1f} ms per subnet added by host and agent" if summary.overhead_ms else ""
    measured = counted(summary.n_measured, "measurement", "measurements")
    return (
        f"{measured} in {summary.wall_s:.1f} s, {summary.n_failed} failed, "
        f"{summary.n_unsteady} unsteady{added}; "
        f"campaign {profiled.campaign.id} holds {summary.total}"
    )


def summary_json(profiled: Profiled) -> dict[str, Any]:
    options = profiled.campaign.options
    drawn = {"seed": options.seed, "sentinel_every": options.sentinel_every}
    return {**vars(profiled.summary), **drawn, "disturbances": list(profiled.disturbances)}


def profile_command(device: str, precision: str, supernet: Path | None) -> str:
    """What makes a campaign of this supernet in this precision."""
    named = "" if supernet is None else f" --supernet {shlex.quote(str(supernet))}"
    return f"edgewright profile {device}{named}" + ("" if precision == "float32" else f" --precision {precision}")


@contextmanager
def suggesting_profile(device: str, precision: str, supernet: Path | None) -> Iterator[None]:
    """If measurements are missing, the sentence ends with the command that makes them."""
    from ..workbench.measured import NotProfiled

    try:
        yield
    except NotProfiled as error:
        raise InputError(f"{error}; run `{profile_command(device, precision, supernet)}` first") from error


def show_report(output: Output, report: PredictorReport) -> None:
    header = ["held-out", "features", "accuracy", "within 5 %", "within 10 %", "rank corr.", "train/test"]
    rows = [
        [
            score.quantity,
            score.features,
            f"{score.accuracy:.2f} %",
            f"{score.within_5:.1f} %",
            f"{score.within_10:.1f} %",
            f"{score.spearman:.4f}",
            f"{score.n_train}/{score.n_test}",
        ]
        for score in report.scores
    ]
    output.grid(header, rows)
    for sentence in report.disturbances:
        output.say(f"disturbed: {sentence}")
    floor = report.noise_floor
    if floor.latency is None:
        output.say("noise floor: unknown, no subnet was measured twice")
        return
    memory = "" if floor.memory is None else f" and {floor.memory:.3f} % in memory"
    differ = counted(floor.n_repeated, "subnet measured twice differs", "subnets measured twice differ")
    output.say(f"noise floor: {differ} by {floor.latency:.2f} % in latency{memory}")
