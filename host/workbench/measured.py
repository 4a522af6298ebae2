"""What the workspace knows of a supernet on a device, even if the device is not connected."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..costs import CONFIDENCE
from ..errors import InputError

if TYPE_CHECKING:

    from ..costs import CostModel
    from ..customize.pareto import ParetoPoint
    from ..predictors.fitting import CostPredictors
    from ..predictors.judging.learning import LearningCurve
    from ..predictors.judging.report import PredictorReport
    from ..profiling.columns import RecordColumns
    from ..profiling.plan import Campaign
    from ..profiling.records import Record
    from ..profiling.store.store import Store
    from ..profiling.verifications import VerificationRecord
    from ..spaces.gates import SubnetSpace
    from ..tasks import Task
    from ..workspace import Workspace
    from .campaign_lock import CampaignLock
    from .supernet import SupernetBench


class NotProfiled(InputError):
    """A device without measurements of this supernet. The message says what is missing, not how to get it."""


class MeasuredSupernet:
    """Measurements of a supernet on a device, and what follows from them; `Workbench.measured` makes one.

    Campaigns of the supernet in another precision are another's.
    """

    def __init__(
        self,
        device_name: str,
        supernet: SupernetBench,
        store: Callable[[], Store],
        workspace: Workspace,
        predictor: str = "linear",
    ) -> None:
        self.device_name, self.supernet, self.predictor = device_name, supernet, predictor
        self._open_store, self._workspace = store, workspace

    @property
    def store(self) -> Store:
        return self._open_store()

    @property
    def space(self) -> SubnetSpace:
        """The subnets as a search space, to be measured and predicted."""
        return self.supernet.trained.supernet.subnets

    @property
    def source(self) -> str:
        """What the measured models were made of, as campaigns name it: the template's sha256."""
        return self.supernet.source

    @cached_property
    def lock(self) -> CampaignLock:
        """Of the device: whoever runs a campaign on it holds this."""
        from .campaign_lock import CampaignLock

        return CampaignLock(self._workspace, self.device_name)

    def newest(self) -> Campaign | None:
        """The newest campaign that the agent measured; None where there is none."""
        from .campaigns import newest_campaign

        return newest_campaign(self.store, self.device_name, self.source, self.lock.running())

    def campaign(self) -> tuple[Campaign | None, list[Record]]:
        """The newest campaign and its records, of one that was spread over identical devices those of all of them;
        None and empty where there is none."""
        from ..profiling.fleet import fleet_records

        campaign = self.newest()
        return campaign, [] if campaign is None else fleet_records(self.store, campaign)

    @property
    def is_profiled(self) -> bool:
        """Whether predictors have enough to learn from."""
        from ..predictors.linear import MIN_RECORDS

        if self.newest() is None:
            return False
        columns = self.columns()
        measured = columns.architecture[columns.of_kind("subnet") & ~columns.failed]
        return len(set(columns.digests[measured].tolist())) >= MIN_RECORDS

    def records(self) -> list[Record]:
        """The records of the newest campaign, each with its samples. Raises `NotProfiled` where there is nothing."""
        from ..profiling.fleet import fleet_records

        return fleet_records(self.store, self.needed())

    def columns(self) -> RecordColumns:
        """What predictors learn from: as `records`, without samples. Raises `NotProfiled` where there is nothing."""
        from ..profiling.fleet import fleet_columns

        return fleet_columns(self.store, self.needed())

    def needed(self) -> Campaign:
        """The newest campaign. Raises `NotProfiled` where there is none, and `InputError` while the first one runs."""
        campaign = self.newest()
        if campaign is None and self.lock.running() is not None:
            raise InputError(
                f"{self.device_name!r} is being profiled by another process; wait for it to end and try again"
            )
        if campaign is None:
            raise NotProfiled(
                f"{self.device_name!r} has no records with this supernet in {self.supernet.precision} that the agent "
                "measured, and predictors use no others"
            )
        return campaign

    def verifications(self) -> list[VerificationRecord]:
        """The models that were verified there before they were delivered, in the order of time."""
        return self.store.verifications(self.device_name, self.source)

    def watch_interval(self) -> int:
        """Records between two sentinels in a new campaign, as the drift in the last one asks for."""
        from ..predictors.drift.correction import drift_of
        from ..predictors.drift.sentinels import USUAL, sentinel_interval

        if self.newest() is None:
            return USUAL
        drifts = drift_of(self.columns(), self.space).values()
        return min((sentinel_interval(drift) for drift in drifts), default=USUAL)

    @property
    def predictors_path(self) -> Path:
        """The file that fitted predictors are kept in."""
        precision = str(self.supernet.precision)
        words = [self.device_name, self.supernet.trained.digest]
        words += [precision] * (precision != "float32") + [self.predictor] * (self.predictor != "linear")
        return self._workspace.predictors / f"{'-'.join(words)}.json"

    def predictors(self) -> CostPredictors:
        """Fitted to the newest campaign and to all models verified on the device, again only when these have changed.

        Raises `NotProfiled`, and `InputError` for too few measurements.
        """
        from ..predictors.saved import load_or_fit

        return load_or_fit(self.predictors_path, self.columns(), self.space, self.verifications(), self.predictor)

    def cost_model(self, confidence: float = CONFIDENCE) -> CostModel:
        """Predicted costs of many subnets in one call; raises what `predictors` raises."""
        from ..predictors.cost_model import cost_model

        return cost_model(self.predictors(), confidence)

    def report(self) -> PredictorReport:
        """How well predictors do on held-out subnets, beside the noise floor; raises what `predictors` raises."""
        from ..predictors.judging.report import evaluate

        return evaluate(self.columns(), self.space, predictor=self.predictor)

    def learning_curve(self, seed: int = 0) -> LearningCurve | None:
        """Error by number of subnets; None for a campaign that is too short for one. Raises `NotProfiled`."""
        import numpy as np

        from ..predictors.judging.learning import MIN_SUBNETS, learning_curve

        columns = self.columns()
        if (columns.of_kind("subnet") & ~columns.failed).sum() < MIN_SUBNETS:
            return None
        return learning_curve(columns, self.space, np.random.default_rng(seed))

    def pareto(self, task: Task | str) -> tuple[ParetoPoint, ...]:
        """The answers to a task that no other beats in cost and score; raises what `predictors` raises."""
        from ..customize.pareto import pareto_front, pareto_points

        trained, predict = self.supernet.trained, self.cost_model()
        return pareto_front(
            pareto_points(trained.assembler, self.supernet.profiled, predict, self.supernet.task(task))
        )
