"""Once per device: a campaign with the supernet's template, and what is stored of it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgewright.device_agent.template import Template
from edgewright.device_agent.timing import TimingProtocol

from ..assembler.archive import TrainedSupernet
from ..errors import InputError
from ..predictors.drift.correction import correct, drift_of
from ..predictors.drift.sentinels import USUAL, sentinel_interval
from ..profiling.campaign import begin_campaign, run_campaign
from ..profiling.fleet import fleet_records
from ..profiling.models import CampaignSession, TemplateModels
from ..profiling.plan import Campaign, PlanOptions
from ..profiling.progress import CampaignSummary, Progress
from ..profiling.records import Record
from ..profiling.store.store import Store

SHORT_CAMPAIGN = 60


@dataclass(frozen=True)
class Profiled:
    """A finished campaign and how it went; a sentence on whatever disturbed it."""

    campaign: Campaign
    summary: CampaignSummary
    disturbances: tuple[str, ...] = ()


def template_sha256(template: Template) -> str:
    return hashlib.sha256(template.to_bytes()).hexdigest()


def profile_device(
    session: CampaignSession,
    store: Store,
    device: str,
    trained: TrainedSupernet,
    template: Template,
    options: PlanOptions,
    protocol: TimingProtocol,
    *,
    resume: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    on_status: Callable[[str], None] = lambda sentence: None,
    patience_s: float = 0.0,
    stop: threading.Event | None = None,
) -> Profiled:
    """Run a campaign, or with `resume` go on with the newest one of this device and supernet.

    Raises what `run_campaign` raises, and `InputError` when there is nothing to resume.
    """
    content = template.to_bytes()
    sha = hashlib.sha256(content).hexdigest()
    space = trained.supernet.subnets
    campaign = find_resumable(store, device, sha, options.fleet) if resume else None
    if resume and campaign is None:
        raise InputError(f"there is no campaign of {device!r} with this supernet to resume; start without `resume`")
    if campaign is None:
        campaign = begin_campaign(
            store, device=device, space=space, source=sha, protocol=protocol, options=options
        )
    summary = run_campaign(
        session, store, campaign, space, TemplateModels(content), on_progress, patience_s=patience_s,
        on_status=on_status, stop=stop,
    )  # fmt: skip
    return Profiled(campaign, summary, correct(store.records(campaign), space).sentences)


def watch_interval(store: Store, devices: Sequence[str], trained: TrainedSupernet, template: Template) -> int:
    """Records between two sentinels in a new campaign: what the device that drifted most in its last one asks for."""
    known = [campaign_with_records(store, device, template)[1] for device in devices]
    drifts = [each for records in known for each in drift_of(records, trained.supernet.subnets).values()]
    return min((sentinel_interval(drift) for drift in drifts), default=USUAL)


def find_resumable(store: Store, device: str, source: str, fleet: tuple[str, ...]) -> Campaign | None:
    """The newest campaign of a device with this template, spread over the same devices (or over none)."""
    return next((known for known in store.campaigns(device, source) if known.options.fleet == fleet), None)


def campaign_records(store: Store, device: str, template: Template) -> list[Record]:
    """The records of `campaign_with_records`."""
    return campaign_with_records(store, device, template)[1]


def campaign_with_records(store: Store, device: str, template: Template) -> tuple[Campaign | None, list[Record]]:
    """The newest campaign of a device with this template, and its records; None and empty when there is none.

    Of a campaign that was spread over identical devices, the records of all of them. Only what the agent measured: a
    model is verified by it, and another tool or delegate has other latencies.
    """
    for campaign in store.campaigns(device, template_sha256(template)):
        records = store.records(campaign)
        if records and store.facts(records[0].facts_digest).get("delegate") is None:
            return campaign, fleet_records(store, campaign)
    return None, []

