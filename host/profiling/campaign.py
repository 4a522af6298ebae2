"""Measure a plan on a device, one committed record at a time; stop and go on at any moment."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from statistics import median
from typing import Any, Protocol

from edgewright.device_agent.timing import TimingProtocol

from ..devices.session import CampaignJob, CampaignReply
from ..errors import DeviceError, DeviceRefused, InputError, MeasurementError
from ..gates import GateSpace
from .plan import Campaign, CampaignPlan, PlanItem, PlanOptions, make_plan
from .records import Measurement, Record
from .store import Store

_MAX_FAILURES_IN_A_ROW = 10
_BATCH = 16  # subnets a request: enough that the link's delay does not show
_MAX_LOSSES = 2  # a subnet at which the device was lost that often waits until all others are measured
# What stays the same in a campaign: latencies of two devices or runtimes are not one table.
_MEASURER = ("device_id", "runtime", "runtime_version", "delegate")
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0

Place = tuple[int, int]
"""Position in the plan, and which try."""


class CampaignSession(Protocol):
    """What a campaign needs of a device: its facts, a place for the template, and measurements of its subnets.

    Every method raises `DeviceError` when the device is gone.
    """

    def facts(self) -> Mapping[str, Any]: ...

    def put_blob(self, data: bytes) -> str:
        """Push once; returns the content's sha256."""

    def measure_each(
        self,
        key: str,
        template_sha: str,
        jobs: Sequence[CampaignJob],
        protocol: TimingProtocol,
        stored: Sequence[Place],
    ) -> Iterator[CampaignReply]:
        """The agent's answers in the order of `jobs`; what is in `stored` may leave the device's spool."""

    def spooled(self, key: str) -> Iterator[CampaignReply]:
        """What the device finished and could not hand over."""

    def drop_spooled(self, key: str, places: Sequence[Place]) -> None: ...

    def reopen(self) -> None:
        """Reach the device again after it was lost."""


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


def campaign_key(campaign: Campaign) -> str:
    """What the device files this campaign's records under: 32 hexadecimal digits."""
    parts = [campaign.id, campaign.created_at, campaign.plan_digest, campaign.template_sha, campaign.protocol.to_json()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def run_campaign(
    session: CampaignSession,
    store: Store,
    campaign: Campaign,
    space: GateSpace,
    template: bytes,
    on_progress: Callable[[Progress], None] | None = None,
    max_attempts: int = 3,
    *,
    patience_s: float = 0.0,
    on_status: Callable[[str], None] = lambda sentence: None,
    stop: threading.Event | None = None,
) -> CampaignSummary:
    """Measure every position of a campaign that is not stored yet.

    Records the device finished and could not hand over are fetched first. A failed measurement is tried again after all
    others, at most `max_attempts` times in all; then its error is the record. A device that is lost is tried to be
    reached again for `patience_s`; a subnet that loses it time and again becomes a record with the error device_lost.
    Whatever ends a run early, the stored records stay, and calling this again goes on after them.

    Raises:
        InputError: the gate space, template, device or runtime is not the campaign's, or the plan cannot be drawn
            again.
        MeasurementError: nothing but failures at the start or anywhere in a row; these are not stored.
        DeviceError: the device is gone.
        CampaignInterrupted: Ctrl-C, or `stop` was set.
    """
    plan = _same_plan(campaign, space)
    run = _Run(session, store, campaign, plan, on_progress, on_status, patience_s, stop or threading.Event())
    try:
        run.prepare(template)
        waiting = run.tries([item for item in plan if item.position not in run.stored], attempt=1)
        for attempt in range(2, max_attempts + 1):
            waiting = run.tries([item for item, _ in waiting], attempt)
        run.finish(waiting)
    except KeyboardInterrupt as interrupt:
        raise CampaignInterrupted(f"stopped; {run.how_to_resume()}") from interrupt
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
        plan: CampaignPlan,
        on_progress: Callable[[Progress], None] | None,
        on_status: Callable[[str], None],
        patience_s: float,
        stop: threading.Event,
    ) -> None:
        self._session, self._store, self._campaign, self._plan = session, store, campaign, plan
        self._on_progress, self._on_status = on_progress, on_status
        self._patience_s, self._stop = patience_s, stop
        self._key = campaign_key(campaign)
        self._started = time.monotonic()
        self._n_measured = 0
        self._in_a_row = 0
        self._overheads_ms: list[float] = []
        self._facts_digest = ""
        self._settled: list[Place] = []  # places whose records the device may forget
        self._template = b""
        self.stored = store.positions(campaign)

    def prepare(self, template: bytes) -> None:
        """Bring the template, and home what an earlier run left on the device."""
        self._template = template
        sha = self._session.put_blob(template)
        if sha != self._campaign.template_sha:
            raise InputError(
                f"campaign {self._campaign.id} measured the template {self._campaign.template_sha[:12]}, "
                f"this one is {sha[:12]}; start a new campaign for it (without --resume)"
            )
        facts = self._session.facts()
        self._check_measurer(facts)
        self._facts_digest = self._store.add_facts(facts)
        if self._n_measured == 0:  # what it takes to bring the template is no measuring time
            self._started = time.monotonic()
        self._fetch_spooled()

    def _check_measurer(self, facts: Mapping[str, Any]) -> None:
        if not self.stored:
            return
        before = self._store.facts(self._store.records(self._campaign)[0].facts_digest)
        for name in _MEASURER:
            if before.get(name) != facts.get(name):
                raise InputError(
                    f"campaign {self._campaign.id} on {self._campaign.device!r} was measured with {name} "
                    f"{before.get(name)!r}, now it is {facts.get(name)!r}; start a new one (without --resume)"
                )

    def tries(self, items: Iterable[PlanItem], attempt: int) -> list[tuple[PlanItem, Record]]:
        """Measure each item once; returns those that failed. A device on which everything fails is given up."""
        failed: list[tuple[PlanItem, Record]] = []
        waiting = deque(items)
        losses: Counter[int] = Counter()
        while waiting:
            try:
                self._measure_next(waiting, attempt, failed)
            except DeviceRefused:
                raise
            except DeviceError as lost:
                self._recover(lost)
                waiting = deque(item for item in waiting if item.position not in self.stored)
                if waiting:
                    losses[waiting[0].position] += 1
                    if losses[waiting[0].position] >= (_MAX_LOSSES if attempt == 1 else 1):
                        item = waiting.popleft()
                        self._note(item, self._lost_record(item, attempt, lost), failed)
        return failed

    def finish(self, failed: Iterable[tuple[PlanItem, Record]]) -> None:
        """Store the errors of what failed to the last; let the device forget the rest."""
        for _, record in failed:
            self._keep(record)
        with contextlib.suppress(DeviceError):  # everything is stored: what stays on the device is waste, no loss
            self._session.drop_spooled(self._key, self._settled)

    def how_to_resume(self) -> str:
        return f"{len(self.stored)} of {len(self._plan)} records are stored, the same command with --resume goes on"

    def summary(self) -> CampaignSummary:
        return CampaignSummary(
            total=len(self._plan),
            n_measured=self._n_measured,
            n_failed=sum(record.error is not None for record in self._store.records(self._campaign)),
            wall_s=time.monotonic() - self._started,
            overhead_ms=median(self._overheads_ms) if self._overheads_ms else None,
        )

    def _measure_next(
        self, waiting: deque[PlanItem], attempt: int, failed: list[tuple[PlanItem, Record]]
    ) -> None:
        """Some items in one request; each leaves `waiting` when its record has come."""
        batch = list(itertools.islice(waiting, _BATCH))
        jobs = [CampaignJob(item.position, attempt, item.gates.pack()) for item in batch]
        settled, self._settled = self._settled, []
        asked_at = time.perf_counter()
        replies = self._session.measure_each(
            self._key, self._campaign.template_sha, jobs, self._campaign.protocol, settled
        )
        for reply in replies:
            wall_ms, asked_at = 1e3 * (time.perf_counter() - asked_at), time.perf_counter()
            item = waiting.popleft()
            if (reply.position, reply.attempt) != (item.position, attempt):
                raise DeviceError(f"a record of position {reply.position} came in place of {item.position}")
            self._note(item, self._record(item, reply, wall_ms), failed)
            if self._stop.is_set():
                raise KeyboardInterrupt

    def _note(self, item: PlanItem, record: Record, failed: list[tuple[PlanItem, Record]]) -> None:
        self._settled.append((item.position, record.attempts))
        if record.error is None:
            self._keep(record)
            self._in_a_row = 0
        else:
            failed.append((item, record))
            self._in_a_row += 1
        self._tell(record)
        if self._in_a_row == _MAX_FAILURES_IN_A_ROW and record.attempts == 1:
            raise MeasurementError(
                f"{self._in_a_row} measurements in a row failed on {self._campaign.device!r}, the last one with "
                f"{record.error}; see to the device; {self.how_to_resume()}"
            )

    def _recover(self, lost: DeviceError) -> None:
        """Reach the device again within the patience, or raise what lost it."""
        if self._patience_s <= 0:
            raise lost
        self._on_status(f"{lost}; trying to reach it again for {self._patience_s:g} s")
        deadline, pause_s = time.monotonic() + self._patience_s, _FIRST_PAUSE_S
        while True:
            try:
                self._session.reopen()
                return self.prepare(self._template)
            except DeviceError as error:
                if time.monotonic() + pause_s > deadline:
                    raise DeviceError(f"{lost}; it did not come back within {self._patience_s:g} s: {error}") from error
            if self._stop.wait(pause_s):
                raise KeyboardInterrupt
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _fetch_spooled(self) -> None:
        places = []
        for reply in self._session.spooled(self._key):
            places.append((reply.position, reply.attempt))
            wanted = reply.position not in self.stored and 0 <= reply.position < len(self._plan)
            if wanted and reply.reply.get("error") is None:
                with contextlib.suppress(MeasurementError):  # no record any more: it is dropped, and measured again
                    record = self._record(self._plan.items[reply.position], reply, None)
                    self._keep(record)
                    self._tell(record)
        if places:
            self._session.drop_spooled(self._key, places)

    def _record(self, item: PlanItem, reply: CampaignReply, wall_ms: float | None) -> Record:
        measurement = Measurement.from_reply(reply.reply)
        known = wall_ms is not None and measurement.child_ms is not None
        return Record(
            position=item.position,
            kind=item.kind,
            gates_digest=item.gates.digest,
            packed_gates=item.gates.pack(),
            counts=item.gates.counts,
            device=self._campaign.device,
            protocol=self._campaign.protocol,
            facts_digest=self._facts_digest,
            started_at=datetime.fromtimestamp(reply.started_unix_s, timezone.utc).isoformat(timespec="milliseconds"),
            measurement=measurement,
            overhead_ms=wall_ms - measurement.child_ms if known else None,  # type: ignore[operator]
            attempts=reply.attempt,
        )

    def _lost_record(self, item: PlanItem, attempt: int, lost: DeviceError) -> Record:
        error = {"kind": "device_lost", "message": f"the device was lost while it measured this subnet: {lost}"}
        return self._record(item, CampaignReply(item.position, attempt, time.time(), {"error": error}), None)

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
        left = len(self._plan) - len(self.stored)
        self._on_progress(Progress(len(self.stored), len(self._plan), rate_per_s, left / rate_per_s, record))


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
