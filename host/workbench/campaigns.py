"""The store's campaigns of a template's slices: the newest, and those that can be resumed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import Interrupted
from ..profiling.plan import Campaign
from ..profiling.progress import CampaignInterrupted, CampaignSummary
from ..profiling.store.store import Store

SHORT_CAMPAIGN = 60
"""Subnets that a device without measurements is profiled with before a model is made for it."""


@dataclass(frozen=True)
class Profiled:
    """A finished campaign and how it went; a sentence on whatever disturbed it."""

    campaign: Campaign
    summary: CampaignSummary
    disturbances: tuple[str, ...] = ()


def find_resumable(store: Store, device: str, source: str, fleet: tuple[str, ...] = ()) -> Campaign | None:
    """The newest campaign of a device with the models of `source`, spread over the same devices (or over none)."""
    return next((known for known in store.campaigns(device, source) if known.options.fleet == fleet), None)


def newest_campaign(store: Store, device: str, source: str, running: int | None = None) -> Campaign | None:
    """The newest campaign of a device with the models of `source` that has records; None without one.

    The one that is `running` in another process does not count: it is not finished. Only what the agent measured: a
    model is verified by it, and another tool or delegate has other latencies.
    """
    for campaign in store.campaigns(device, source):
        facts = None if campaign.id == running else store.measuring_facts(campaign)
        if facts is not None and facts.get("delegate") is None:
            return campaign
    return None


@contextmanager
def as_interrupted() -> Iterator[None]:
    """Ctrl-C during a campaign as one of our errors."""
    try:
        yield
    except CampaignInterrupted as interrupt:
        raise Interrupted(str(interrupt)) from interrupt
