"""`edgewright profile` and `edgewright predictor ...`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, Interrupted
from ..files import write_atomic
from ..workspace import Workspace
from .output import Output

if TYPE_CHECKING:
    from edgewright.device_agent.template import Template

    from ..assembler.archive import TrainedSupernet
    from ..customize.preparation import Profiled
    from ..devices.session import AgentSession
    from ..predictors.evaluation import PredictorReport
    from ..profiling.store import Store


def profile(
    device: str,
    subnets: int,
    seed: int,
    threads: int,
    resume: bool,
    supernet: Path | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    from ..devices.registry import Registry
    from ..devices.session import open_session
    from ..profiling.store import Store

    output, place = Output(as_json), Workspace.find(workspace)
    target = Registry(place.root).get(device)
    trained, template = load_supernet(supernet, place, output)
    with Store.open(place.store) as store, open_session(target, place.root) as session:
        profiled = run_profile(output, session, store, device, trained, template, subnets, seed, threads, resume)
    output.done({"device": device, "campaign": profiled.campaign.id, "profile": summary_json(profiled)})


def run_profile(
    output: Output,
    session: AgentSession,
    store: Store,
    device: str,
    trained: TrainedSupernet,
    template: Template,
    subnets: int,
    seed: int = 0,
    threads: int = 1,
    resume: bool = False,
) -> Profiled:
    """A campaign with a progress bar, and one sentence at its end."""
    from edgewright.device_agent.timing import TimingProtocol

    from ..customize.preparation import profile_device
    from ..profiling.campaign import CampaignInterrupted, Progress
    from ..profiling.plan import PlanOptions

    try:
        protocol = TimingProtocol(threads=threads)
    except ValueError as error:
        raise InputError(str(error)) from error
    options = PlanOptions(subnets, seed=seed)
    with output.bar(f"profiling {device}") as bar:

        def show(at: Progress) -> None:
            failed = f", {at.last.error.kind}" if at.last.error else ""
            bar.update(at.done, at.total, f"{at.rate_per_s:.1f}/s{failed}")

        try:
            profiled = profile_device(
                session, store, device, trained, template, options, protocol, resume=resume, on_progress=show
            )
        except CampaignInterrupted as stop:
            raise Interrupted(str(stop)) from stop
    summary = profiled.summary
    added = f", {summary.overhead_ms:.1f} ms a subnet added by host and agent" if summary.overhead_ms else ""
    output.say(
        f"{summary.n_measured} measurements in {summary.wall_s:.1f} s, {summary.n_failed} failed{added}; "
        f"campaign {profiled.campaign.id} holds {summary.total}"
    )
    return profiled


def summary_json(profiled: Profiled) -> dict[str, Any]:
    return {**vars(profiled.summary), "seed": profiled.campaign.options.seed}


def load_supernet(supernet: Path | None, place: Workspace, output: Output) -> tuple[TrainedSupernet, Template]:
    """A trained supernet (the shipped one by default) and its template."""
    from ..assembler.archive import TrainedSupernet
    from ..customize.templates import load_or_build
    from ..shipped import shipped_supernet

    trained = TrainedSupernet.load(supernet or shipped_supernet())
    return trained, load_or_build(trained, place.templates, output.say)


def fit(device: str, supernet: Path | None, workspace: Path | None, as_json: bool) -> None:
    from ..customize.preparation import fit_to

    output, place = Output(as_json), Workspace.find(workspace)
    trained, template = load_supernet(supernet, place, output)
    predictors = fit_to(_records(device, place, template), trained)
    path = place.predictors / f"{device}-{trained.digest}.json"
    write_atomic(path, json.dumps(predictors.to_json()).encode())
    output.say(f"fitted to {predictors.latency.n_records_} records: {path}")
    output.done({"device": device, "predictors": str(path), "n_records": predictors.latency.n_records_})


def report(device: str, supernet: Path | None, workspace: Path | None, as_json: bool) -> None:
    output, place = Output(as_json), Workspace.find(workspace)
    trained, template = load_supernet(supernet, place, output)
    found = evaluate_records(_records(device, place, template), trained)
    show_report(output, found)
    output.done({"device": device, **found.to_json()})


def evaluate_records(records: list[Any], trained: TrainedSupernet) -> PredictorReport:
    from ..predictors.evaluation import evaluate

    return evaluate(records, trained.supernet.space, trained.supernet.plan.layers)


def show_report(output: Output, found: PredictorReport) -> None:
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
        for score in found.scores
    ]
    output.grid(header, rows)
    floor = found.noise_floor
    if floor.latency is None:
        output.say("noise floor: unknown, no subnet was measured twice")
        return
    memory = "" if floor.memory is None else f" and {floor.memory:.3f} % in memory"
    output.say(
        f"noise floor: {floor.n_repeated} subnets measured twice differ by {floor.latency:.2f} % in latency{memory}"
    )


def _records(device: str, place: Workspace, template: Template) -> list[Any]:
    from ..customize.preparation import campaign_records
    from ..devices.registry import Registry
    from ..profiling.store import Store

    Registry(place.root).get(device)
    with Store.open(place.store) as store:
        records = campaign_records(store, device, template)
    if not records:
        raise InputError(f"{device!r} has no records with this supernet; run `edgewright profile {device}` first")
    return records
