"""Measure a plan on a device, one committed record at a time; stop and resume at any moment."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edgewright.device_agent.timing import TimingProtocol

from ..errors import DeviceError, InputError
from ..spaces.base import A, CampaignSpace
from .models import CampaignSession, Models
from .plan import Campaign, CampaignPlan, PlanOptions, make_plan
from .progress import CampaignInterrupted, CampaignSummary, Progress
from .run import CampaignRun
from .store.store import Store

ROUNDS_AGAIN = 2
COOLDOWN_S = 1.0


def begin_campaign(
    store: Store,
    *,
    device: str,
    space: CampaignSpace[A],
    source: str,
    protocol: TimingProtocol,
    options: PlanOptions,
) -> Campaign:
    """Plan a new campaign and store it; nothing is measured yet. Raises `InputError` when the space is too small."""
    return store.create_campaign(
        device=device,
        space_digest=space.digest,
        source=source,
        protocol=protocol,
        plan=make_plan(space, options),
    )


def run_campaign(
    session: CampaignSession,
    store: Store,
    campaign: Campaign,
    space: CampaignSpace[A],
    models: Models[A],
    on_progress: Callable[[Progress], None] | None = None,
    max_attempts: int = 3,
    *,
    rounds_again: int = ROUNDS_AGAIN,
    cooldown_s: float = COOLDOWN_S,
    patience_s: float = 0.0,
    on_status: Callable[[str], None] = lambda sentence: None,
    stop: threading.Event | None = None,
) -> CampaignSummary:
    """Measure every position of a campaign that is not stored yet.

    Records the device finished and could not hand over are fetched first. A failed measurement is tried again after all
    others, at most `max_attempts` times in all; then its error is the record. A disturbed one is stored with its marks
    and, after a pause that grows from `cooldown_s`, measured again: `rounds_again` times, at most a sixth of the plan
    each time; the steadiest becomes the record. A lost device is retried for `patience_s`; an architecture that loses
    it repeatedly becomes a record with the error "device_lost". Whatever ends a run early, stored records stay, and
    another call continues after them.

    Raises:
        InputError: the space, the models' source, the device or the runtime is not the campaign's, or the plan cannot
            be drawn again.
        MeasurementError: ten failures in a row; these are not stored.
        DeviceError: the device is gone.
        CampaignInterrupted: Ctrl-C, or `stop` was set.
    """
    plan = _same_plan(campaign, space)
    _check_source(campaign, models.digest)
    run = CampaignRun(
        session, store, campaign, plan, models, on_progress, on_status, patience_s, stop or threading.Event()
    )
    try:
        run.prepare()
        waiting = run.tries([item for item in plan if item.position not in run.stored], attempt=1)
        for attempt in range(2, max_attempts + 1):
            waiting = run.tries([item for item, _ in waiting], attempt)
        run.finish(waiting)
        for attempt in range(2, 2 + rounds_again):
            run.again(attempt, cooldown_s * (attempt - 1))
    except KeyboardInterrupt as interrupt:
        raise CampaignInterrupted(f"stopped; {run.how_to_resume()}") from interrupt
    except DeviceError as error:
        raise DeviceError(f"{error}; {run.how_to_resume()}") from error
    return run.summary()


def _same_plan(campaign: Campaign, space: CampaignSpace[A]) -> CampaignPlan[A]:
    if space.digest != campaign.space_digest:
        raise InputError(
            f"campaign {campaign.id} belongs to the space of {space.kind} {campaign.space_digest}, this one is "
            f"{space.digest}; use the space it was planned for, or start a new campaign (without `resume`)"
        )
    plan = make_plan(space, campaign.options)
    if plan.digest != campaign.plan_digest:
        raise InputError(
            f"campaign {campaign.id} was planned by another version (plan {campaign.plan_digest}, now {plan.digest}) "
            "and cannot be continued; start a new one (without `resume`)"
        )
    return plan


def _check_source(campaign: Campaign, digest: str) -> None:
    if digest != campaign.source:
        raise InputError(
            f"campaign {campaign.id} measured models made from {campaign.source[:12]}, these are made from "
            f"{digest[:12]}; start a new campaign for them (without `resume`)"
        )
