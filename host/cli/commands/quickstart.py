"""`edgewright quickstart`: the whole flow on this machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ..campaigns import profile_with_bar, show_report, summary_json
from ..options import Json, WorkspaceDir
from ..output import Output
from .customize import artifact_json, show_artifact


def quickstart(
    task: Annotated[str, typer.Option(help="What the model is for.")] = "only two, even",
    subnets: Annotated[int, typer.Option(help="How many subnets to profile.")] = 200,
    out: Annotated[Path, typer.Option(help="The model file to write.")] = Path("model.tflite"),
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Run the whole flow on this machine, with the shipped supernet."""
    started = time.monotonic()
    output = Output(json_)
    output.say("1/4  supernet and template")
    from ...costs import Budget
    from ...workbench.options import CampaignOptions
    from ...workbench.workbench import Workbench

    with Workbench(workspace, output.say) as bench:
        pair = bench.pair("local", bench.supernet())
        asked, _ = pair.supernet.task(task), pair.supernet.template
        output.say("2/4  profiling this machine")
        profiled = profile_with_bar(output, pair, CampaignOptions(subnets))
        output.say("3/4  predictors")
        report = pair.report()
        show_report(output, report)
        full = pair.full_cost().latency_ms or 0.0
        budget = Budget(latency_ms=round(full / 2, 4))
        output.say(f"4/4  '{asked}' within {budget}, half of the full model's {full:.3f} ms")
        artifact = pair.customize(asked, budget, out, push=True)
    show_artifact(output, artifact)
    output.say(f"done in {time.monotonic() - started:.0f} s; try: edgewright customize --task 'has, 3' --memory-mib 2")
    output.done({**artifact_json(artifact), "profile": summary_json(profiled), "predictor": report.to_json()})
