"""A supernet on a device: measured by campaigns, predicted, customised for tasks and budgets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..costs import CONFIDENCE, Budget
from ..errors import InputError, Interrupted
from .data import Say
from .options import CampaignOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..costs import CostModel
    from ..customize.algorithm1 import Candidate
    from ..customize.artifact import Artifact
    from ..customize.customizer import Customizer
    from ..customize.pareto import ParetoPoint
    from ..customize.scenario import Scenario
    from ..predictors.fitting import CostPredictors
    from ..predictors.judging.learning import LearningCurve
    from ..predictors.judging.report import PredictorReport
    from ..profiling.plan import Campaign
    from ..profiling.progress import Progress
    from ..profiling.records import Measurement, Record
    from ..profiling.store.store import Store
    from ..tasks import Task
    from ..workspace import Workspace
    from .device import DeviceBench
    from .profiles import Profiled
    from .supernet import SupernetBench

Tell = Callable[["Progress"], None]


class NotProfiled(InputError):
    """A device without measurements of this supernet. The message says what is missing, not how to get it."""


class SupernetOnDevice:
    """What is known of a supernet on a device, and what can be made of it; `Workbench.pair` makes one."""

    def __init__(
        self,
        device: DeviceBench,
        supernet: SupernetBench,
        store: Callable[[], Store],
        place: Workspace,
        say: Say,
        predictor: str = "linear",
    ) -> None:
        self.device, self.supernet, self.predictor = device, supernet, predictor
        self._open_store, self._place, self._say = store, place, say

    @property
    def store(self) -> Store:
        return self._open_store()

    @cached_property
    def template_sha(self) -> str:
        from .profiles import template_sha256

        return template_sha256(self.supernet.profiled)

    def campaign(self) -> tuple[Campaign | None, list[Record]]:
        """The newest campaign that the agent measured, and its records; None and empty where there is none."""
        from .profiles import campaign_with_records

        return campaign_with_records(self.store, self.device.name, self.supernet.profiled)

    def records(self) -> list[Record]:
        """What predictors learn from, empty before the first campaign."""
        return self.campaign()[1]

    def known_records(self) -> list[Record]:
        """The records. Raises `NotProfiled` where there are none."""
        records = self.records()
        if not records:
            raise NotProfiled(
                f"{self.device.name!r} has no records with this supernet in {self.supernet.precision} that the agent "
                "measured, and predictors use no others"
            )
        return records

    def profile(
        self, options: CampaignOptions, on_progress: Tell | None = None, stop: threading.Event | None = None
    ) -> Profiled:
        """Run a campaign, or go on with one.

        Raises:
            Interrupted: Ctrl-C, or `stop` was set; what is measured is stored.
            DeviceError, MeasurementError, InputError: as `profiling.campaign.run_campaign` says.
        """
        return self.measure_campaign(self.device.session, self.store, options, on_progress, stop)

    def watch_interval(self) -> int:
        """Records between two sentinels, as the drift in the last campaign asks for."""
        from .profiles import watch_interval

        return watch_interval(self.store, [self.device.name], self.supernet.trained, self.supernet.profiled)

    def measure_campaign(
        self,
        session: Any,
        store: Store,
        options: CampaignOptions,
        on_progress: Tell | None = None,
        stop: threading.Event | None = None,
        fleet: tuple[str, ...] = (),
    ) -> Profiled:
        """`profile` over a session and a store of one's own, as a thread needs them; with a `fleet` the device's share
        of a campaign that is spread over it."""
        from ..profiling.plan import PlanOptions
        from .profiles import profile_device

        share = fleet.index(self.device.name) if fleet else 0
        every = options.sentinel_every or PlanOptions.sentinel_every
        plan = PlanOptions(
            options.subnets, seed=options.seed, sentinel_every=every, repeat_share=options.repeat_share,
            fleet=fleet, share=share,
        )  # fmt: skip
        with _as_interrupted():
            return profile_device(
                session, store, self.device.name, self.supernet.trained, self.supernet.profiled, plan,
                options.protocol(), resume=options.resume, on_progress=on_progress, on_status=self._say,
                patience_s=options.patience_s, stop=stop,
            )  # fmt: skip

    @property
    def predictors_path(self) -> Path:
        """The file that fitted predictors are kept in."""
        precision = str(self.supernet.precision)
        words = [self.device.name, self.supernet.trained.digest]
        words += [precision] * (precision != "float32") + [self.predictor] * (self.predictor != "linear")
        return self._place.predictors / f"{'-'.join(words)}.json"

    def predictors(self) -> CostPredictors:
        """Fitted to the newest campaign and to all models verified on the device, again only when these have changed.

        Raises `NotProfiled`.
        """
        return self._fitted(self.known_records())

    def cost_model(self, confidence: float = CONFIDENCE) -> CostModel:
        """Predicted costs of many subnets in one call. Raises `NotProfiled`."""
        return self._cost_model(self.known_records(), confidence)

    def report(self) -> PredictorReport:
        """How well predictors do on held-out subnets, beside the noise floor. Raises `NotProfiled`."""
        from ..predictors.judging.report import evaluate

        return evaluate(self.known_records(), self.supernet.trained.supernet.subnets, predictor=self.predictor)

    def learning_curve(self) -> LearningCurve | None:
        """Error by number of subnets; None for a campaign that is too short for one. Raises `NotProfiled`."""
        import numpy as np

        from ..predictors.judging.learning import MIN_SUBNETS, learning_curve

        records = self.known_records()
        if sum(record.kind == "subnet" and record.error is None for record in records) < MIN_SUBNETS:
            return None
        return learning_curve(records, self.supernet.trained.supernet.subnets, np.random.default_rng(0))

    def full_latency_ms(self) -> float:
        """Median latency of the full supernet, measured now."""
        from ..delivery.verification import measure_model, median_latency_ms

        full = self.supernet.trained.supernet.space.full()
        _, measurements = measure_model(self.device.session, self.supernet.template.emit(full.pack()).tobytes())
        return median_latency_ms(measurements)

    def customizer(
        self, *, confidence: float = CONFIDENCE, fills: bool = True, test_images: int = 500, seed: int = 0
    ) -> Customizer:
        """All that stays the same between scenarios; every verification teaches the next. Raises `NotProfiled`."""
        from ..customize.customizer import Customizer

        records = self.known_records()
        return Customizer(
            trained=self.supernet.trained,
            template=self.supernet.template,
            predict=self._cost_model(records, confidence),
            domain=self.supernet.domain,
            artifacts=self._place.artifacts,
            seed=seed,
            n_test_images=test_images,
            fills=fills,
            keep=self._keep,
            refit=lambda: self._cost_model(records, confidence),
            quantization=self._quantization(),
        )

    def customize(
        self,
        task: Task | str,
        budget: Budget,
        out: Path,
        *,
        push: bool = False,
        confidence: float = CONFIDENCE,
        fills: bool = True,
        test_images: int = 500,
    ) -> Artifact:
        """The model that fits, verified on the device and written to `out`.

        Raises:
            NotProfiled: the device has no campaign with this supernet yet.
            BudgetError: no subnet met the budget on the device; nothing is written.
            MeasurementError: the device cannot run the model, or computes something else than torch.
        """
        from ..customize.scenario import Scenario

        parsed = self.supernet.task(task) if isinstance(task, str) else task
        customizer = self.customizer(confidence=confidence, fills=fills, test_images=test_images)
        scenario = Scenario(parsed, self.device.name, budget)
        return customizer.customize(scenario, out, self.device.session, push=push, on_status=self._say)

    def pareto(self, task: Task | str) -> tuple[ParetoPoint, ...]:
        """The answers to a task that no other beats in cost and score. Raises `NotProfiled`."""
        from ..customize.pareto import pareto_front, pareto_points

        parsed = self.supernet.task(task) if isinstance(task, str) else task
        points = pareto_points(self.supernet.trained.assembler, self.supernet.profiled, self.cost_model(), parsed)
        return pareto_front(points)

    def _fitted(self, records: Sequence[Record]) -> CostPredictors:
        from ..predictors.saved import load_or_fit

        verifications = self.store.verifications(self.device.name, self.template_sha)
        subnets = self.supernet.trained.supernet.subnets
        return load_or_fit(self.predictors_path, records, subnets, verifications, self.predictor)

    def _cost_model(self, records: Sequence[Record], confidence: float) -> CostModel:
        from ..predictors.cost_model import cost_model

        return cost_model(self._fitted(records), confidence)

    @cached_property
    def _facts_digest(self) -> str:
        return self.store.add_facts(self.device.facts())

    def _keep(self, scenario: Scenario, candidate: Candidate, measurements: Sequence[Measurement]) -> None:
        from ..customize.verification_record import verification_record

        record = verification_record(scenario, candidate, measurements, self.template_sha, self._facts_digest)
        self.store.add_verification(record)

    def _quantization(self) -> Any:
        from edgewright.converters.precision import Precision

        from ..delivery.quantization import Quantization

        if self.supernet.precision is Precision.FLOAT32:
            return None
        return Quantization(self.supernet.precision, self.supernet.profiled, self.supernet.domain)


@contextmanager
def _as_interrupted() -> Iterator[None]:
    """Ctrl-C during a campaign as one of our errors."""
    from ..profiling.progress import CampaignInterrupted

    try:
        yield
    except CampaignInterrupted as interrupt:
        raise Interrupted(str(interrupt)) from interrupt
