"""`edgewright profile`: random subnets measured on one device, or on several at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..backend import BackendName, Binary, Delegate, measurer
from ..campaigns import profile_with_bar, profiled_sentence, shown_on, summary_json
from ..options import Json, Numbers, SupernetDir, WorkspaceDir
from ..output import Output

if TYPE_CHECKING:
    from ...workbench.campaigns import Profiled
    from ...workbench.device import DeviceBench
    from ...workbench.options import CampaignOptions
    from ...workbench.supernet import SupernetBench
    from ...workbench.workbench import Workbench


def profile(
    devices: Annotated[list[str], typer.Argument(metavar="DEVICE...", help="One device, or several at once.")],
    subnets: Annotated[int, typer.Option(help="How many random subnets.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the random subnets.")] = 0,
    threads: Annotated[int, typer.Option(help="Threads of the runtime.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the interrupted campaign.")] = False,
    spread: Annotated[bool, typer.Option("--spread", help="Spread one campaign over identical devices.")] = False,
    patience_s: Annotated[float, typer.Option(help="How long to try to reconnect to a lost device.")] = 120.0,
    sentinel_every: Annotated[
        int | None,
        typer.Option(help="Records between two sentinels. Default: depends on the last drift."),
    ] = None,
    backend: BackendName = "agent",
    binary: Binary = None,
    delegate: Delegate = "xnnpack",
    precision: Numbers = "float32",
    supernet: SupernetDir = None,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Measure random subnets on devices."""
    from ...profiling.fleet import check_names
    from ...workbench.options import CampaignOptions
    from ...workbench.workbench import Workbench

    options = CampaignOptions(subnets, seed, threads, resume, patience_s, sentinel_every)
    who, output = measurer(backend, binary, delegate), Output(json_)
    check_names(devices, spread)
    with Workbench(workspace, output.say) as bench:
        targets = [bench.device(name, who) for name in devices]
        net = bench.supernet(supernet, precision)
        if len(targets) == 1:
            profiled = profile_with_bar(output, bench.pair(targets[0], net), options)
            output.done({**_profiled_json(devices[0], profiled), "precision": precision})
            return
        results = _profile_several(output, bench, targets, net, options, spread)
    told = [_profiled_json(name, profiled) for name, profiled in results.items()]
    output.done({"devices": told, "precision": precision})


def _profile_several(
    output: Output,
    bench: Workbench,
    targets: list[DeviceBench],
    net: SupernetBench,
    options: CampaignOptions,
    spread: bool,
) -> dict[str, Profiled]:
    from ...workbench.fleet import profile_fleet, raise_first

    names = [target.name for target in targets]
    with output.bars([f"profiling {name}" for name in names]) as bars:
        on_progress = {name: shown_on(bar) for name, bar in zip(names, bars, strict=True)}
        done, failed = profile_fleet(bench, targets, net, options, on_progress, spread)
    for name, profiled in done.items():
        output.say(f"{name}: {profiled_sentence(profiled)}")
    raise_first(failed, list(done))
    return done


def _profiled_json(device: str, profiled: Profiled) -> dict[str, Any]:
    return {"device": device, "campaign": profiled.campaign.id, "profile": summary_json(profiled)}
