"""One run of a campaign: the device, the store, and the bookkeeping between them."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from statistics import median
from typing import Any, Generic

from ..architecture import EncodedArchitecture
from ..devices.session.jobs import CampaignReply
from ..errors import DeviceError, DeviceRefused, InputError, MeasurementError
from ..spaces.base import A
from ..wording import counted
from .models import Attempt, CampaignSession, Job, Models
from .plan import Campaign, CampaignPlan, PlanItem
from .progress import CampaignSummary, Progress
from .records import Measurement, Record
from .store.store import Store

_MAX_FAILURES_IN_A_ROW = 10
_BATCH = 16  # architectures a request: enough to hide the link's delay
_MAX_LOSSES = 2  # an architecture that lost the device so often waits until all others are measured
# The same throughout a campaign: latencies of two devices or runtimes cannot share a table.
_MEASURER = ("device_id", "runtime", "runtime_version", "delegate", "measuring")
_FIRST_PAUSE_S = 0.5
_MOST_AGAIN = 1 / 6  # of the plan: a device that is never steady must not double a campaign
_LONGEST_PAUSE_S = 10.0

Tried = tuple[PlanItem[A], Record]


def campaign_key(campaign: Campaign) -> str:
    """What the device files this campaign's records under: 32 hexadecimal digits."""
    parts = [campaign.id, campaign.created_at, campaign.plan_digest, campaign.source, campaign.protocol.to_json()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


class CampaignRun(Generic[A]):
    """One call of `run_campaign`."""

    def __init__(
        self,
        session: CampaignSession,
        store: Store,
        campaign: Campaign,
        plan: CampaignPlan[A],
        models: Models[A],
        on_progress: Callable[[Progress], None] | None,
        on_status: Callable[[str], None],
        patience_s: float,
        stop: threading.Event,
    ) -> None:
        self._session, self._store, self._campaign = session, store, campaign
        self._plan, self._models = plan, models
        self._on_progress, self._on_status = on_progress, on_status
        self._patience_s, self._stop = patience_s, stop
        self._key = campaign_key(campaign)
        self._started = time.monotonic()
        self._n_measured = 0
        self._in_a_row = 0
        self._overheads_ms: list[float] = []
        self._facts_digest = ""
        self._settled: list[Attempt] = []  # records that the device may delete
        self._before: dict[int, Record] = {}  # what is measured again
        self.stored = store.positions(campaign)

    def prepare(self) -> None:
        """Push what the models share, and fetch what an earlier run left on the device."""
        self._models.prepare(self._session)
        facts = self._session.facts()
        self._check_measurer(facts)
        self._facts_digest = self._store.add_facts(facts)
        if self._n_measured == 0:  # pushing a template is not measuring
            self._started = time.monotonic()
        self._fetch_spooled()

    def _check_measurer(self, facts: Mapping[str, Any]) -> None:
        before = self._store.measuring_facts(self._campaign)
        if before is None:
            return
        for name in _MEASURER:
            if before.get(name) != facts.get(name):
                raise InputError(
                    f"campaign {self._campaign.id} on {self._campaign.device!r} was measured with {name} "
                    f"{before.get(name)!r}, now it is {facts.get(name)!r}; start a new one (without `resume`)"
                )

    def tries(self, items: Iterable[PlanItem[A]], attempt: int) -> list[Tried[A]]:
        """Measure each item once; returns those that failed. A device on which everything fails is given up."""
        failed: list[Tried[A]] = []
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

    def again(self, attempt: int, pause_s: float) -> None:
        """Measure disturbed records again, the worst first; sentinels stay, since they exist to show disturbances."""
        disturbed = [
            record
            for record in self._store.each_record(self._campaign)
            if record.measurement.steady is False and record.kind != "sentinel" and record.attempts < attempt
        ]
        worst = sorted(disturbed, key=lambda record: record.measurement.unsteadiness, reverse=True)
        chosen = worst[: math.ceil(_MOST_AGAIN * len(self._plan))]
        if not chosen:
            return
        told = counted(len(chosen), "measurement was", "measurements were")
        self._on_status(f"{told} disturbed; again after {pause_s:g} s to cool down")
        if self._stop.wait(pause_s):
            raise KeyboardInterrupt
        self._before = {record.position: record for record in chosen}
        self.tries([self._plan.items[record.position] for record in chosen], attempt)
        with contextlib.suppress(DeviceError):
            self._session.drop_spooled(self._key, self._settled)

    def finish(self, failed: Iterable[Tried[A]]) -> None:
        """Store the errors of measurements that failed every time, and let the device empty its spool."""
        for _, record in failed:
            self._keep(record)
        with contextlib.suppress(DeviceError):  # everything is stored; a full spool only costs space
            self._session.drop_spooled(self._key, self._settled)

    def how_to_resume(self) -> str:
        return f"{len(self.stored)} of {len(self._plan)} records are stored; start again with `resume` to go on"

    def summary(self) -> CampaignSummary:
        columns = self._store.columns(self._campaign)
        return CampaignSummary(
            total=len(self._plan),
            n_measured=self._n_measured,
            n_failed=int(columns.failed.sum()),
            n_unsteady=int(columns.unsteady.sum()),
            wall_s=time.monotonic() - self._started,
            overhead_ms=median(self._overheads_ms) if self._overheads_ms else None,
        )

    def _measure_next(
        self, waiting: deque[PlanItem[A]], attempt: int, failed: list[Tried[A]]
    ) -> None:
        """Measure a batch in one request; each item leaves `waiting` when its record arrives."""
        batch = list(itertools.islice(waiting, _BATCH))
        jobs = [Job(item.position, attempt, item.architecture) for item in batch]
        settled, self._settled = self._settled, []
        asked_at = time.perf_counter()
        replies = self._models.measure_each(self._session, self._key, jobs, self._campaign.protocol, settled)
        for reply in replies:
            wall_ms, asked_at = 1e3 * (time.perf_counter() - asked_at), time.perf_counter()
            item = waiting.popleft()
            if (reply.position, reply.attempt) != (item.position, attempt):
                raise DeviceError(f"a record of position {reply.position} came in place of {item.position}")
            self._note(item, self._record(item, reply, wall_ms), failed)
            if self._stop.is_set():
                raise KeyboardInterrupt

    def _note(self, item: PlanItem[A], record: Record, failed: list[Tried[A]]) -> None:
        self._settled.append((item.position, record.attempts))
        if item.position in self._before:
            self._keep_steadier(record)
        elif record.error is None:
            self._keep(record)
            self._in_a_row = 0
        else:
            failed.append((item, record))
            self._in_a_row += 1
        self._tell(record)
        if self._in_a_row == _MAX_FAILURES_IN_A_ROW and record.attempts == 1:
            raise MeasurementError(
                f"{self._in_a_row} measurements in a row failed on {self._campaign.device!r}, the last one with "
                f"{record.error}; check the device; {self.how_to_resume()}"
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
                return self.prepare()
            except DeviceError as error:
                if time.monotonic() + pause_s > deadline:
                    raise DeviceError(f"{lost}; it did not come back within {self._patience_s:g} s: {error}") from error
            if self._stop.wait(pause_s):
                raise KeyboardInterrupt
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _fetch_spooled(self) -> None:
        attempts = []
        for reply in self._session.spooled(self._key):
            attempts.append((reply.position, reply.attempt))
            wanted = reply.position not in self.stored and 0 <= reply.position < len(self._plan)
            if wanted and reply.reply.get("error") is None:
                with contextlib.suppress(MeasurementError):  # unreadable: it is dropped, and measured again
                    record = self._record(self._plan.items[reply.position], reply, None)
                    self._keep(record)
                    self._tell(record)
        if attempts:
            self._session.drop_spooled(self._key, attempts)

    def _record(self, item: PlanItem[A], reply: CampaignReply, wall_ms: float | None) -> Record:
        measurement = Measurement.from_reply(reply.reply)
        known = wall_ms is not None and measurement.child_ms is not None
        return Record(
            position=item.position,
            kind=item.kind,
            architecture=EncodedArchitecture.of(item.architecture),
            device=self._campaign.device,
            protocol=self._campaign.protocol,
            facts_digest=self._facts_digest,
            started_at=datetime.fromtimestamp(reply.started_unix_s, timezone.utc).isoformat(timespec="milliseconds"),
            measurement=measurement,
            overhead_ms=wall_ms - measurement.child_ms if known else None,  # type: ignore[operator]
            attempts=reply.attempt,
        )

    def _lost_record(self, item: PlanItem[A], attempt: int, lost: DeviceError) -> Record:
        error = {"kind": "device_lost", "message": f"the device was lost while it measured this architecture: {lost}"}
        return self._record(item, CampaignReply(item.position, attempt, time.time(), {"error": error}), None)

    def _keep(self, record: Record) -> None:
        start = time.perf_counter()
        self._store.add_record(self._campaign, record)
        store_ms = 1e3 * (time.perf_counter() - start)
        self.stored.add(record.position)
        self._n_measured += 1
        if record.overhead_ms is not None and record.error is None:
            self._overheads_ms.append(record.overhead_ms + store_ms)

    def _keep_steadier(self, record: Record) -> None:
        """Keep the steadier of a stored and a new record; it counts all tries, so that a rerun does not start over."""
        before = self._before[record.position]
        better = record.measurement.unsteadiness < before.measurement.unsteadiness
        self._store.replace_record(self._campaign, replace(record if better else before, attempts=record.attempts))

    def _tell(self, record: Record) -> None:
        if self._on_progress is None:
            return
        rate_per_s = max(self._n_measured, 1) / max(time.monotonic() - self._started, 1e-9)
        left = len(self._plan) - len(self.stored)
        self._on_progress(Progress(len(self.stored), len(self._plan), rate_per_s, left / rate_per_s, record))
