"""A supernet on a device that can be reached: measured by campaigns, customised for tasks and budgets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..costs import CONFIDENCE, Budget
from ..errors import InputError
from .data import Say
from .measured import MeasuredSupernet
from .options import CampaignOptions

if TYPE_CHECKING:
    from ..costs import Cost
    from ..customize.algorithm1 import Candidate
    from ..customize.artifact import Artifact
    from ..customize.customizer import Customizer
    from ..customize.scenario import Scenario
    from ..delivery.quantization import Quantization
    from ..profiling.plan import Campaign
    from ..profiling.progress import Progress
    from ..profiling.records import Measurement
    from ..profiling.store.store import Store
    from ..tasks import Task
    from ..workspace import Workspace
    from .campaigns import Profiled
    from .device import DeviceBench
    from .supernet import SupernetBench

Tell = Callable[["Progress"], None]
"""Receives the progress of a campaign after every measurement."""


def watched(options: CampaignOptions, measured: Sequence[MeasuredSupernet], say: Say) -> CampaignOptions:
    """`options` with an interval between sentinels, if none is given: the one for the device that drifted most."""
    from ..predictors.drift.sentinels import USUAL

    if options.sentinel_every is not None or options.resume:
        return options
    every = min(each.watch_interval() for each in measured)
    if every != USUAL:
        say(f"a sentinel every {every} records, because of the drift in the last campaign")
    return replace(options, sentinel_every=every)


class SupernetOnDevice(MeasuredSupernet):
    """A supernet on a device: its measurements, and the models made from it there; `Workbench.pair` opens one."""

    def __init__(
        self,
        device: DeviceBench,
        supernet: SupernetBench,
        store: Callable[[], Store],
        workspace: Workspace,
        predictor: str,
        say: Say,
    ) -> None:
        super().__init__(device.name, supernet, store, workspace, predictor)
        self.device, self._say = device, say

    def profile(
        self,
        options: CampaignOptions | None = None,
        on_progress: Tell | None = None,
        stop: threading.Event | None = None,
    ) -> Profiled:
        """Run a campaign, or continue one.

        It waits while another process runs a campaign on the device.

        Raises:
            Interrupted: Ctrl-C, or `stop` was set; finished measurements are stored.
            InputError: there is nothing to resume, or the supernet has too few different subnets.
            DeviceError, MeasurementError: as `profiling.campaign.run_campaign` says.
        """
        asked = watched(options or CampaignOptions(), [self], self._say)
        return self.run_campaign(self.device.session, self.store, asked, on_progress, stop)

    def run_campaign(
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
        from ..predictors.drift.correction import correct
        from ..profiling.campaign import run_campaign
        from ..profiling.models import TemplateModels
        from .campaigns import Profiled, as_interrupted

        models = TemplateModels(self.supernet.profiled.to_bytes())
        with self.lock.held(self._say, stop), as_interrupted():
            campaign = self._campaign_for(store, options, fleet)
            with self.lock.measuring(campaign.id):
                summary = run_campaign(
                    session, store, campaign, self.space, models, on_progress, patience_s=options.patience_s,
                    on_status=self._say, stop=stop,
                )  # fmt: skip
        return Profiled(campaign, summary, correct(store.columns(campaign), self.space).sentences)

    def _campaign_for(self, store: Store, options: CampaignOptions, fleet: tuple[str, ...]) -> Campaign:
        from ..profiling.campaign import begin_campaign
        from .campaigns import find_resumable

        if not options.resume:
            share = fleet.index(self.device_name) if fleet else 0
            return begin_campaign(
                store, device=self.device_name, space=self.space, source=self.source, protocol=options.protocol(),
                options=options.plan(fleet, share),
            )  # fmt: skip
        campaign = find_resumable(store, self.device_name, self.source, fleet)
        if campaign is None:
            raise InputError(
                f"there is no campaign of {self.device_name!r} with this supernet to resume; start without `resume`"
            )
        return campaign

    def full_cost(self) -> Cost:
        """What the whole supernet costs, measured now. Raises `MeasurementError`."""
        full = self.supernet.trained.supernet.space.full()
        return self.device.cost(self.supernet.template.emit(full.pack()).tobytes())

    def customizer(
        self, *, confidence: float = CONFIDENCE, fills: bool = True, test_images: int = 500, seed: int = 0
    ) -> Customizer:
        """All that stays the same between scenarios; every verification teaches the next.

        Raises what `predictors` raises.
        """
        from ..customize.customizer import Customizer

        return Customizer(
            trained=self.supernet.trained,
            template=self.supernet.template,
            predict=self.cost_model(confidence),
            domain=self.supernet.domain,
            artifacts=self._workspace.artifacts,
            seed=seed,
            n_test_images=test_images,
            fills=fills,
            keep=self._keep,
            refit=lambda: self.cost_model(confidence),
            quantization=self._quantization(),
        )

    def customize(
        self,
        task: Task | str,
        budget: Budget,
        out: str | Path,
        *,
        push: bool = False,
        confidence: float = CONFIDENCE,
        fills: bool = True,
        test_images: int = 500,
    ) -> Artifact:
        """The model that fits, verified on the device and written to `out`.

        Args:
            task: its attributes, such as "only two, even".
            push: leave the model on the device, too.
            confidence: how sure a candidate must be to fit before it is tried.
            fills: spend what is left of the budget on the modules that the task wants most.
            test_images: how many images the model is tested on, on the device.

        Raises:
            NotProfiled: the device has no campaign with this supernet yet.
            BudgetError: no subnet met the budget on the device; nothing is written.
            MeasurementError: the device cannot run the model, or computes something else than torch.
        """
        from ..customize.scenario import Scenario

        scenario = Scenario(self.supernet.task(task), self.device_name, budget)
        customizer = self.customizer(confidence=confidence, fills=fills, test_images=test_images)
        return customizer.customize(scenario, Path(out), self.device.session, push=push, on_status=self._say)

    @cached_property
    def _facts_digest(self) -> str:
        return self.store.add_facts(self.device.facts())

    def _keep(self, scenario: Scenario, candidate: Candidate, measurements: Sequence[Measurement]) -> None:
        from ..customize.verification_record import verification_record

        record = verification_record(scenario, candidate, measurements, self.source, self._facts_digest)
        self.store.add_verification(record)

    def _quantization(self) -> Quantization | None:
        from ..delivery.quantization import Quantization

        net = self.supernet
        return None if net.precision == "float32" else Quantization(net.precision, net.profiled, net.domain)
