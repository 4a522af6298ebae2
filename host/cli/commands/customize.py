"""`edgewright customize`: the model that fits a task, a device and a budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...wording import counted
from ..campaigns import profile_command, profile_with_bar
from ..options import Bound, DataDir, Json, Numbers, PredictorName, SupernetDir, WorkspaceDir
from ..output import Output

if TYPE_CHECKING:
    from ...customize.artifact import Artifact
    from ...workbench.on_device import SupernetOnDevice


def customize(
    task: Annotated[str, typer.Option(help='The task\'s attributes, such as "only two, even".')],
    device: Annotated[str, typer.Option(help="Name of the device.")] = "local",
    latency_ms: Annotated[Bound, typer.Option(help="Upper bound on the median latency.")] = None,
    memory_mib: Annotated[
        Bound, typer.Option(help="Upper bound on memory: growth of the heap plus the model file.")
    ] = None,
    size_mib: Annotated[Bound, typer.Option(help="Upper bound on the size of the model file.")] = None,
    confidence: Annotated[
        float, typer.Option(help="Required probability that a candidate fits the budget.")
    ] = 0.95,
    fill: Annotated[
        bool, typer.Option(help="Spend the rest of the budget on the modules that the task wants most.")
    ] = True,
    out: Annotated[Path, typer.Option(help="The model file to write.")] = Path("model.tflite"),
    push: Annotated[bool, typer.Option("--push", help="Leave the model on the device.")] = False,
    test_images: Annotated[int, typer.Option(help="Test images, run on the device.")] = 500,
    predictor: PredictorName = "linear",
    precision: Numbers = "float32",
    supernet: SupernetDir = None,
    data: DataDir = None,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Build the model that fits a task, a device and a budget."""
    from ...costs import check_confidence
    from ...workbench.device import check_delivered_name
    from ...workbench.workbench import Workbench
    from ..budget import parse_budget

    output = Output(json_)
    check_confidence(confidence)
    budget = parse_budget(latency_ms, memory_mib, size_mib)  # before anything slow, so that a typo costs no time
    if push:
        check_delivered_name(out)
    with Workbench(workspace, output.say) as bench:
        target = bench.device(device)
        net = bench.supernet(supernet, precision, data)
        asked = net.judged_task(task)  # before a conversion and a campaign, which take their time
        pair = bench.pair(target, net, predictor)
        _ensure_records(output, pair)
        artifact = pair.customize(
            asked, budget, out, push=push, confidence=confidence, fills=fill, test_images=test_images
        )  # fmt: skip
    show_artifact(output, artifact)
    output.done(artifact_json(artifact))


def _ensure_records(output: Output, pair: SupernetOnDevice) -> None:
    """Run a short campaign on a device that was never profiled, or wait for one that another process runs."""
    if not pair.is_profiled:
        with pair.lock.held(output.say):
            if not pair.is_profiled:  # another process may just have ended its campaign
                _profile_shortly(output, pair)
    campaign = pair.newest()
    name, net = pair.device.name, pair.supernet
    if campaign is not None and net.precision != "float32":
        measured = counted(len(pair.columns()), "measurement", "measurements")
        output.say(f"predictions come from campaign {campaign.id} of {name!r}: {measured} in {net.precision}")


def _profile_shortly(output: Output, pair: SupernetOnDevice) -> None:
    """Run a short campaign, or the rest of an interrupted one."""
    from ...workbench import campaigns
    from ...workbench.options import CampaignOptions

    name, net = pair.device.name, pair.supernet
    begun, records = pair.campaign()
    if begun is not None and not begun.options.fleet:
        measured = counted(len(records), "measurement", "measurements")
        output.say(f"campaign {begun.id} of {name!r} has only {measured}; continuing it")
        profile_with_bar(output, pair, CampaignOptions(resume=True))
        return
    longer = profile_command(name, net.precision, net.named)
    output.say(
        f"{name!r} has no measurements with this supernet in {net.precision} yet: running "
        f"a short campaign of {campaigns.SHORT_CAMPAIGN} subnets first; `{longer}` runs a longer one"
    )
    profile_with_bar(output, pair, CampaignOptions(campaigns.SHORT_CAMPAIGN))


def show_artifact(output: Output, artifact: Artifact) -> None:
    from ...report.verdict import verdict_rows

    output.table("The model that fits", verdict_rows(artifact))


def artifact_json(artifact: Artifact) -> dict[str, Any]:
    """The artifact as the command line reports it."""
    return {
        "task": str(artifact.scenario.task),
        "device": artifact.scenario.device,
        artifact.scores.name.key: artifact.scores.on_device,
        "precision": str(artifact.precision),
        "float32": artifact.float32,
        "agreement": artifact.scores.agreement,
        "budget": artifact.scenario.budget.to_json(),
        "limit": artifact.candidate.request.limit,
        "ratio": artifact.candidate.gates.ratio,
        "predicted": artifact.candidate.predicted.to_json(),
        "upper": artifact.candidate.estimate.upper.to_json(),
        "confidence": artifact.candidate.estimate.confidence,
        "measured": artifact.measured.to_json(),
        "verified": artifact.scenario.budget.fits(artifact.measured),
        "parity_max_abs": artifact.verification.parity_max_abs,
        "model": str(artifact.path),
        "manifest": str(artifact.manifest_path),
        "device_path": artifact.device_path,
        "size_bytes": artifact.size_bytes,
        "customize_s": artifact.customize_s,
        "total_s": artifact.total_s,
        "tries": artifact.tries,
    }
