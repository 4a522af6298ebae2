"""Measure a plan on a device, one committed record at a time; stop and go on at any moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from statistics import median
from typing import Any, Protocol

from edgewright.device_agent.timing import TimingProtocol

from ..devices.session import MeasureJob
from ..errors import DeviceError, InputError, MeasurementError
from ..gates import GateSpace
from .plan import Campaign, CampaignPlan, PlanItem, PlanOptions, make_plan
from .records import Measurement, Record
from .store import Store

_MAX_FAILURES_IN_A_ROW = 10


class CampaignSession(Protocol):
    """What a campaign needs of a device: its facts, a place for the template, and measurements of its subnets."""

    def facts(self) -> Mapping[str, Any]: ...

    def put_blob(self, data: bytes) -> str:
        """Push once; returns the content's sha256."""

    def measure(self, job: MeasureJob, protocol: TimingProtocol) -> Mapping[str, Any]:
        """The agent's answer: samples and what belongs to them, or an "error" with "kind" and "message".

        Raises `DeviceError` when the device is gone.
        """


class CampaignInterrupted(KeyboardInterrupt):
    """Ctrl-C during a campaign. The message says what is stored and how to go on."""


@dataclass(frozen=True)
class Progress:
    """Where a campaign stands after one try. `last` is stored unless it failed and is tried again at the end."""

    done: int
    total: int
    rate_per_s: float
    eta_s: float
    last: Record


@dataclass(frozen=True)
class CampaignSummary:
    """A finished campaign; `n_measured` of its `total` records were made by this run, `n_failed` hold an error.

    `overhead_ms` is the median over this run of what host and agent added per subnet, storing included; None when
    nothing was measured or the agent gave no child times.
    """

    total: int
    n_measured: int
    n_failed: int
    wall_s: float
    overhead_ms: float | None


def begin_campaign(
    store: Store, *, device: str, space: GateSpace, template_sha: str, protocol: TimingProtocol, options: PlanOptions
) -> Campaign:
    """Plan a new campaign and store it; nothing is measured yet. Raises `InputError` when the space is too small."""
    return store.create_campaign(
        device=device,
        space_digest=space.digest,
        template_sha=template_sha,
        protocol=protocol,
        plan=make_plan(space, options),
    )


def run_campaign(
    session: CampaignSession,
    store: Store,
    campaign: Campaign,
    space: GateSpace,
    template: bytes,
    on_progress: Callable[[Progress], None] | None = None,
    max_attempts: int = 3,
) -> CampaignSummary:
    """Measure every position of a campaign that is not stored yet.

    A failed measurement is tried again after all others, at most `max_attempts` times in all; then its error is the
    record. Whatever ends a run early, the stored records stay, and calling this again goes on after them.

    Raises:
        InputError: the gate space or template is not the campaign's, or the plan cannot be drawn again.
        MeasurementError: nothing but failures at the start or anywhere in a row; these are not stored.
        DeviceError: the device is gone.
        CampaignInterrupted: Ctrl-C.
    """
    plan = _same_plan(campaign, space)
    run = _Run(session, store, campaign, len(plan), on_progress)
    try:
        run.prepare(template)
        waiting = run.first_tries(item for item in plan if item.position not in run.stored)
        run.further_tries(waiting, max_attempts)
    except KeyboardInterrupt as stop:
        raise CampaignInterrupted(f"stopped; {run.how_to_resume()}") from stop
    except DeviceError as error:
        raise DeviceError(f"{error}; {run.how_to_resume()}") from error
    return run.summary()


class _Run:
    """One call of `run_campaign`: the device, the store, and the bookkeeping between them."""

    def __init__(
        self,
        session: CampaignSession,
        store: Store,
        campaign: Campaign,
        total: int,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self._session, self._store, self._campaign, self._total = session, store, campaign, total
        self._on_progress = on_progress
        self._started = time.monotonic()
        self._n_measured = 0
        self._overheads_ms: list[float] = []
        self._facts_digest = ""
        self.stored = store.positions(campaign)

    def prepare(self, template: bytes) -> None:
        sha = self._session.put_blob(template)
        if sha != self._campaign.template_sha:
            raise InputError(
                f"campaign {self._campaign.id} measured the template {self._campaign.template_sha[:12]}, "
                f"this one is {sha[:12]}; start a new campaign for it (without --resume)"
            )
        self._facts_digest = self._store.add_facts(self._session.facts())
        self._started = time.monotonic()

    def first_tries(self, items: Iterable[PlanItem]) -> list[tuple[PlanItem, Record]]:
        """Measure each item once; returns those that failed. A device on which everything fails is given up."""
        failed: list[tuple[PlanItem, Record]] = []
        in_a_row = 0
        for item in items:
            record = self._measure(item, attempts=1)
            if record.error is None:
                in_a_row = 0
                continue
            in_a_row += 1
            failed.append((item, record))
            if in_a_row == _MAX_FAILURES_IN_A_ROW:
                raise MeasurementError(
                    f"{in_a_row} measurements in a row failed on {self._campaign.device!r}, the last one with "
                    f"{record.error}; see to the device; {self.how_to_resume()}"
                )
        return failed

    def further_tries(self, waiting: list[tuple[PlanItem, Record]], max_attempts: int) -> None:
        for attempt in range(2, max_attempts + 1):
            again = [(item, self._measure(item, attempt)) for item, _ in waiting]
            waiting = [(item, record) for item, record in again if record.error is not None]
        for _, record in waiting:
            self._keep(record)

    def how_to_resume(self) -> str:
        return f"{len(self.stored)} of {self._total} records are stored, the same command with --resume goes on"

    def summary(self) -> CampaignSummary:
        return CampaignSummary(
            total=self._total,
            n_measured=self._n_measured,
            n_failed=sum(record.error is not None for record in self._store.records(self._campaign)),
            wall_s=time.monotonic() - self._started,
            overhead_ms=median(self._overheads_ms) if self._overheads_ms else None,
        )

    def _measure(self, item: PlanItem, attempts: int) -> Record:
        """One try; stored at once when it succeeded."""
        job = MeasureJob(template_sha=self._campaign.template_sha, packed_gates=item.gates.pack())
        started_at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        start = time.perf_counter()
        reply = self._session.measure(job, self._campaign.protocol)
        wall_ms = 1e3 * (time.perf_counter() - start)
        record = self._record(item, Measurement.from_reply(reply), started_at, wall_ms, attempts)
        if record.error is None:
            self._keep(record)
        self._tell(record)
        return record

    def _record(
        self, item: PlanItem, measurement: Measurement, started_at: str, wall_ms: float, attempts: int
    ) -> Record:
        return Record(
            position=item.position,
            kind=item.kind,
            gates_digest=item.gates.digest,
            packed_gates=item.gates.pack(),
            counts=item.gates.counts,
            device=self._campaign.device,
            protocol=self._campaign.protocol,
            facts_digest=self._facts_digest,
            started_at=started_at,
            measurement=measurement,
            overhead_ms=None if measurement.child_ms is None else wall_ms - measurement.child_ms,
            attempts=attempts,
        )

    def _keep(self, record: Record) -> None:
        start = time.perf_counter()
        self._store.add_record(self._campaign, record)
        store_ms = 1e3 * (time.perf_counter() - start)
        self.stored.add(record.position)
        self._n_measured += 1
        if record.overhead_ms is not None and record.error is None:
            self._overheads_ms.append(record.overhead_ms + store_ms)

    def _tell(self, record: Record) -> None:
        if self._on_progress is None:
            return
        rate_per_s = max(self._n_measured, 1) / max(time.monotonic() - self._started, 1e-9)
        left = self._total - len(self.stored)
        self._on_progress(Progress(len(self.stored), self._total, rate_per_s, left / rate_per_s, record))


def _same_plan(campaign: Campaign, space: GateSpace) -> CampaignPlan:
    if space.digest != campaign.space_digest:
        raise InputError(
            f"campaign {campaign.id} belongs to the gate space {campaign.space_digest}, this supernet's is "
            f"{space.digest}; use its supernet, or start a new campaign (without --resume)"
        )
    plan = make_plan(space, campaign.options)
    if plan.digest != campaign.plan_digest:
        raise InputError(
            f"campaign {campaign.id} was planned by another version (plan {campaign.plan_digest}, now {plan.digest}) "
            "and cannot be continued; start a new one (without --resume)"
        )
    return plan
