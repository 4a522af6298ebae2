"""`edgewright profile` and `edgewright predictor ...`."""

from __future__ import annotations

import json
import math
import shlex
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError, Interrupted
from ...files import write_atomic
from ...workspace import Workspace
from ..output import Output

if TYPE_CHECKING:
    from edgewright.converters.precision import Precision
    from edgewright.device_agent.template import Template
    from edgewright.device_agent.timing import TimingProtocol

    from ...assembler.archive import TrainedSupernet
    from ...predictors.fitting import CostPredictors
    from ...predictors.judging.learning import LearningCurve
    from ...predictors.judging.report import PredictorReport
    from ...workbench.profiles import Profiled
    from ..backend import Backend
    from ..output import Bar


@dataclass(frozen=True)
class ProfileOptions:
    """What `edgewright profile` was asked for."""

    subnets: int
    seed: int = 0
    threads: int = 1
    resume: bool = False
    patience_s: float = 120.0
    sentinel_every: int | None = None

    def __post_init__(self) -> None:
        if self.sentinel_every is not None and self.sentinel_every < 1:
            raise InputError(f"--sentinel-every must be at least 1 record; got {self.sentinel_every}")
        if not (math.isfinite(self.patience_s) and self.patience_s >= 0):
            raise InputError(f"--patience-s must be a number of seconds, 0 or more; got {self.patience_s}")

    def protocol(self) -> TimingProtocol:
        from edgewright.device_agent.timing import TimingProtocol

        try:
            return TimingProtocol(threads=self.threads)
        except ValueError as error:
            raise InputError(str(error)) from error


def profile(
    devices: list[str],
    options: ProfileOptions,
    spread: bool,
    backend: Backend,
    precision: str,
    supernet: Path | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    from ...devices.registry import Registry
    from ...profiling.fleet import check_names

    output, place = Output(as_json), Workspace.find(workspace)
    check_names(devices, spread)
    targets = [Registry(place.root).get(name) for name in devices]
    trained, template = load_supernet(supernet, place, output, precision)
    if options.sentinel_every is None and not options.resume:
        options = replace(options, sentinel_every=_watch_interval(output, devices, place, trained, template))
    if len(targets) == 1:
        with backend.open(targets[0], place) as session:
            profiled = run_profile(output, session, place, devices[0], trained, template, options)
        output.done({**profiled_json(devices[0], profiled), "precision": precision})
        return
    from ...workbench.fleet import profile_several

    results = profile_several(output, place, targets, backend, trained, template, options, spread)
    told = [profiled_json(name, profiled) for name, profiled in results.items()]
    output.done({"devices": told, "precision": precision})


def _watch_interval(
    output: Output, devices: list[str], place: Workspace, trained: TrainedSupernet, template: Template
) -> int:
    from ...predictors.drift.sentinels import USUAL
    from ...profiling.store.store import Store
    from ...workbench.profiles import watch_interval

    with Store.open(place.store) as store:
        every = watch_interval(store, devices, trained, template)
    if every != USUAL:
        output.say(f"a sentinel every {every} records, as the last campaign's drift asks for")
    return every


def run_profile(
    output: Output,
    session: Any,
    place: Workspace,
    device: str,
    trained: TrainedSupernet,
    template: Template,
    options: ProfileOptions,
) -> Profiled:
    """A campaign with a progress bar, and one sentence at its end."""
    with output.bar(f"profiling {device}") as bar:
        profiled = measure_campaign(output, session, place, device, trained, template, options, bar)
    output.say(profiled_sentence(profiled))
    for sentence in profiled.disturbances:
        output.say(f"disturbed: {sentence}")
    return profiled


def measure_campaign(
    output: Output,
    session: Any,
    place: Workspace,
    device: str,
    trained: TrainedSupernet,
    template: Template,
    options: ProfileOptions,
    bar: Bar,
    fleet: tuple[str, ...] = (),
    stop: threading.Event | None = None,
) -> Profiled:
    """A campaign of one device, or its share of one that is spread over a fleet. Opens a store of its own."""
    from ...profiling.plan import PlanOptions
    from ...profiling.progress import CampaignInterrupted, Progress
    from ...profiling.store.store import Store
    from ...workbench.profiles import profile_device

    share = fleet.index(device) if fleet else 0
    every = options.sentinel_every or PlanOptions.sentinel_every
    plan = PlanOptions(options.subnets, seed=options.seed, sentinel_every=every, fleet=fleet, share=share)

    def show(at: Progress) -> None:
        failed = f", {at.last.error.kind}" if at.last.error else ""
        bar.update(at.done, at.total, f"{at.rate_per_s:.1f}/s{failed}")

    try:
        with Store.open(place.store) as store:
            return profile_device(
                session, store, device, trained, template, plan, options.protocol(), resume=options.resume,
                on_progress=show, on_status=output.say, patience_s=options.patience_s, stop=stop,
            )  # fmt: skip
    except CampaignInterrupted as interrupt:
        raise Interrupted(str(interrupt)) from interrupt


def profiled_sentence(profiled: Profiled) -> str:
    summary = profiled.summary
    added = f", {summary.overhead_ms:.1f} ms a subnet added by host and agent" if summary.overhead_ms else ""
    return (
        f"{summary.n_measured} measurements in {summary.wall_s:.1f} s, {summary.n_failed} failed, "
        f"{summary.n_unsteady} unsteady{added}; "
        f"campaign {profiled.campaign.id} holds {summary.total}"
    )


def profiled_json(device: str, profiled: Profiled) -> dict[str, Any]:
    return {"device": device, "campaign": profiled.campaign.id, "profile": summary_json(profiled)}


def summary_json(profiled: Profiled) -> dict[str, Any]:
    options = profiled.campaign.options
    drawn = {"seed": options.seed, "sentinel_every": options.sentinel_every}
    return {**vars(profiled.summary), **drawn, "disturbances": list(profiled.disturbances)}


def load_supernet(
    supernet: Path | None, place: Workspace, output: Output, precision: str, data: Path | None = None
) -> tuple[TrainedSupernet, Template]:
    """A trained supernet (the shipped one by default) and its template in this precision."""
    from ...assembler.archive import TrainedSupernet
    from ...customize.templates import load_or_build
    from ...delivery.quantization import parse_precision
    from ...shipped import find_supernet
    from ...workbench.data import domain_of

    numbers = parse_precision(precision)
    trained = TrainedSupernet.load(find_supernet(supernet))
    domain = None if numbers == "float32" else domain_of(trained, place, output, data)
    return trained, load_or_build(trained, place.templates, output.say, numbers, domain)


def profile_command(device: str, precision: Precision | str, supernet: Path | None) -> str:
    """What makes a campaign of this supernet in this precision."""
    named = "" if supernet is None else f" --supernet {shlex.quote(str(supernet))}"
    return f"edgewright profile {device}{named}" + ("" if precision == "float32" else f" --precision {precision}")


def fit(device: str, precision: str, supernet: Path | None, workspace: Path | None, as_json: bool) -> None:
    output, place = Output(as_json), Workspace.find(workspace)
    trained, template = load_supernet(supernet, place, output, precision)
    predictors = device_predictors(device, place, trained, template, precision, supernet)
    path = place.predictors / f"{device}-{trained.digest}{'' if precision == 'float32' else f'-{precision}'}.json"
    write_atomic(path, json.dumps(predictors.to_json()).encode())
    found = ", ".join(f"{name} {value}" for name, value in predictors.latency.describe().items())
    output.say(f"fitted to {predictors.latency.n_records_} records: {path}; {found}")
    output.done(
        {
            "device": device,
            "predictors": str(path),
            "n_records": predictors.latency.n_records_,
            "predictor": predictors.name,
            **predictors.latency.describe(),
        }
    )


def report(device: str, precision: str, supernet: Path | None, workspace: Path | None, as_json: bool) -> None:
    output, place = Output(as_json), Workspace.find(workspace)
    trained, template = load_supernet(supernet, place, output, precision)
    records = device_records(device, place, template, precision, supernet)
    found = evaluate_records(records, trained)
    show_report(output, found)
    curve = learning_of(records, trained)
    if curve is not None:
        points = ", ".join(f"{point.n_train}: {point.mape:.1f} %" for point in curve.points)
        output.say(f"held-out latency error by number of subnets: {points}; {curve.sentence}")
    output.done({"device": device, **found.to_json(), "learning_curve": None if curve is None else curve.to_json()})


def evaluate_records(records: list[Any], trained: TrainedSupernet) -> PredictorReport:
    from ...predictors.judging.report import evaluate

    return evaluate(records, trained.supernet.subnets)


def learning_of(records: list[Any], trained: TrainedSupernet) -> LearningCurve | None:
    """None for a campaign that is too short for one."""
    import numpy as np

    from ...predictors.judging.learning import MIN_SUBNETS, learning_curve

    if sum(record.kind == "subnet" and record.error is None for record in records) < MIN_SUBNETS:
        return None
    return learning_curve(records, trained.supernet.subnets, np.random.default_rng(0))


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
    for sentence in found.disturbances:
        output.say(f"disturbed: {sentence}")
    floor = found.noise_floor
    if floor.latency is None:
        output.say("noise floor: unknown, no subnet was measured twice")
        return
    memory = "" if floor.memory is None else f" and {floor.memory:.3f} % in memory"
    output.say(
        f"noise floor: {floor.n_repeated} subnets measured twice differ by {floor.latency:.2f} % in latency{memory}"
    )


def device_predictors(
    device: str,
    place: Workspace,
    trained: TrainedSupernet,
    template: Template,
    precision: str,
    supernet: Path | None,
) -> CostPredictors:
    """Fitted to the newest campaign and to all models verified on the device."""
    from ...profiling.store.store import Store
    from ...workbench.profiles import fit_to, template_sha256

    records = device_records(device, place, template, precision, supernet)
    with Store.open(place.store) as store:
        return fit_to(records, trained, store.verifications(device, template_sha256(template)))


def device_records(
    device: str, place: Workspace, template: Template, precision: str, supernet: Path | None
) -> list[Any]:
    """What predictors of a device learn from. Raises `InputError` where there is nothing."""
    from ...devices.registry import Registry
    from ...profiling.store.store import Store
    from ...workbench.profiles import campaign_records

    Registry(place.root).get(device)
    with Store.open(place.store) as store:
        records = campaign_records(store, device, template)
    if not records:
        raise InputError(
            f"{device!r} has no records with this supernet in {precision} that the agent measured, and predictors use "
            f"no others; run `{profile_command(device, precision, supernet)}` first"
        )
    return records
