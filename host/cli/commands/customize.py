"""`edgewright customize` and `edgewright quickstart`: the whole flow."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...costs import CONFIDENCE, Budget, check_confidence
from ...workspace import Workspace
from ..budget import parse_budget
from .device import check_delivered_name
from ..output import Output
from .profile import ProfileOptions, evaluate_records, profile_command, run_profile, show_report, summary_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewright.converters.precision import Precision

    from ...costs import CostModel
    from ...customize.algorithm1 import Candidate
    from ...customize.artifact import Artifact
    from ...customize.scenario import Scenario
    from ...profiling.records import Measurement
    from ...tasks import Task


def customize(
    task: str,
    device: str,
    bounds: tuple[str | None, str | None, str | None],
    confidence: float,
    fill: bool,
    out: Path,
    push: bool,
    test_images: int,
    precision: str,
    supernet: Path | None,
    data: Path | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    from ...delivery.quantization import parse_precision
    from ...devices.registry import Registry

    numbers = parse_precision(precision)
    check_confidence(confidence)
    budget = parse_budget(*bounds)  # before anything slow, so that a typo costs no time
    output, place = Output(as_json), Workspace.find(workspace)
    Registry(place.root).get(device)
    if push:
        check_delivered_name(out)
    flow = _Flow(output, place, device, supernet, task, numbers, test_images, data)
    with flow.opened():
        flow.ensure_records()
        artifact = flow.customize(budget, out, push, confidence, fill)
    flow.show(artifact)
    output.done(artifact_json(artifact))


def quickstart(task: str, subnets: int, out: Path, workspace: Path | None, as_json: bool) -> None:
    started = time.monotonic()
    from ...delivery.quantization import parse_precision

    output, place = Output(as_json), Workspace.find(workspace)
    output.say("1/4  supernet and template")
    flow = _Flow(output, place, "local", None, task, parse_precision("float32"))
    with flow.opened():
        output.say("2/4  profiling this machine")
        profiled = flow.profile(subnets)
        output.say("3/4  predictors")
        report = evaluate_records(flow.records(), flow.trained)
        show_report(output, report)
        full = flow.measure_full()
        budget = Budget(latency_ms=round(full / 2, 4))
        output.say(f"4/4  '{flow.task}' within {budget}, half of the full model's {full:.3f} ms")
        artifact = flow.customize(budget, out, push=True)
    flow.show(artifact)
    output.say(f"done in {time.monotonic() - started:.0f} s; try: edgewright customize --task 'has, 3' --memory-mib 2")
    output.done({**artifact_json(artifact), "profile": summary_json(profiled), "predictor": report.to_json()})


class _Flow:
    """One run on one device: supernet, templates, store and session, opened once. Models are cut out of `template`;
    campaigns are made with `profiled`, which in float32 is the same."""

    def __init__(
        self,
        output: Output,
        place: Workspace,
        device: str,
        supernet: Path | None,
        task: str,
        precision: Precision,
        test_images: int = 500,
        data: Path | None = None,
    ) -> None:
        from ...assembler.archive import TrainedSupernet
        from ...customize.templates import load_or_build
        from ...shipped import find_supernet
        from ...workbench.data import domain_of

        self.output, self.place, self.device, self.test_images = output, place, device, test_images
        self.precision, self.supernet = precision, supernet
        self.trained = TrainedSupernet.load(find_supernet(supernet))
        self.task: Task = self.trained.tasks.parse(task)  # before the conversion, which takes its time
        self.domain = domain_of(self.trained, place, output, data)
        self.template = load_or_build(self.trained, place.templates, output.say)
        self.profiled = self.template
        if precision != "float32":
            self.profiled = load_or_build(self.trained, place.templates, output.say, precision, self.domain)

    def opened(self) -> Any:
        from contextlib import ExitStack

        from ...devices.connect import open_session
        from ...devices.registry import Registry
        from ...profiling.store.store import Store

        stack = ExitStack()
        self.store = stack.enter_context(Store.open(self.place.store))
        self.session = stack.enter_context(open_session(Registry(self.place.root).get(self.device), self.place.root))
        return stack

    def records(self) -> list[Any]:
        from ...workbench.profiles import campaign_records

        return campaign_records(self.store, self.device, self.profiled)

    def profile(self, subnets: int) -> Any:
        options = ProfileOptions(subnets)
        return run_profile(self.output, self.session, self.place, self.device, self.trained, self.profiled, options)

    def ensure_records(self) -> None:
        """A device that was never profiled gets a short campaign first."""
        from ...workbench.profiles import SHORT_CAMPAIGN

        if not self.records():
            longer = profile_command(self.device, self.precision, self.supernet)
            self.output.say(
                f"{self.device!r} has no measurements with this supernet in {self.precision} yet: a short campaign of "
                f"{SHORT_CAMPAIGN} subnets first; `{longer}` makes a longer one, once"
            )
            self.profile(SHORT_CAMPAIGN)

    def measure_full(self) -> float:
        """Median latency of the full supernet, now."""
        from ...delivery.verification import measure_model, median_latency_ms

        content = self.template.emit(self.trained.supernet.space.full().pack()).tobytes()
        _, measurements = measure_model(self.session, content)
        return median_latency_ms(measurements)

    def customize(
        self, budget: Budget, out: Path, push: bool, confidence: float = CONFIDENCE, fills: bool = True
    ) -> Artifact:
        from ...customize.customizer import Customizer
        from ...customize.scenario import Scenario
        from ...delivery.quantization import Quantization
        from ...delivery.verification import verification_record
        from ...workbench.profiles import campaign_with_records, cost_model, fit_to, template_sha256

        campaign, records = campaign_with_records(self.store, self.device, self.profiled)
        sha, quantization = template_sha256(self.profiled), None
        if self.precision != "float32":
            quantization = Quantization(self.precision, self.profiled, self.domain)
        if quantization is not None and campaign is not None:
            self.output.say(
                f"predictions come from campaign {campaign.id} of {self.device!r}: {len(records)} measurements in "
                f"{self.precision}"
            )
        facts_digest = self.store.add_facts(self.session.facts())

        def keep(scenario: Scenario, candidate: Candidate, measurements: Sequence[Measurement]) -> None:
            self.store.add_verification(verification_record(scenario, candidate, measurements, sha, facts_digest))

        def fitted() -> CostModel:
            verifications = self.store.verifications(self.device, sha)
            return cost_model(fit_to(records, self.trained, verifications), confidence)

        customizer = Customizer(
            trained=self.trained,
            template=self.template,
            predict=fitted(),
            domain=self.domain,
            artifacts=self.place.artifacts,
            n_test_images=self.test_images,
            fills=fills,
            keep=keep,
            refit=fitted,
            quantization=quantization,
        )
        scenario = Scenario(self.task, self.device, budget)
        return customizer.customize(scenario, out, self.session, push=push, on_status=self.output.say)

    def show(self, artifact: Artifact) -> None:
        from ...report.verdict import verdict_rows

        self.output.table("The model that fits", verdict_rows(artifact))


def artifact_json(artifact: Artifact) -> dict[str, Any]:
    """The artifact as the command line reports it."""
    return {
        "task": str(artifact.scenario.task),
        "device": artifact.scenario.device,
        artifact.verification.score_name.key: artifact.verification.score,
        "precision": str(artifact.precision),
        "float32": artifact.float32,
        "agreement": artifact.verification.agreement,
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
