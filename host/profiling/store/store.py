"""The file that keeps campaigns and their records.

A record is committed as soon as it is added. The journal is a write-ahead log, so a killed process loses nothing that
was committed, and readers do not stop a running campaign. A power cut may lose the last few records, never the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from edgewright.device_agent.timing import TimingProtocol
from sqlalchemy import ColumnElement, Connection, Row, Select, Table, insert, select, update
from sqlalchemy.exc import IntegrityError

from ...errors import InputError
from ...files import make_dir
from ..columns import RecordColumns
from ..plan import Campaign, CampaignPlan
from ..records import Kind, Record
from ..verifications import VerificationRecord
from .file import connect, prepare
from .rows import (
    COLUMNS,
    campaign_from_row,
    columns_from_rows,
    record_from_row,
    record_to_row,
    verification_from_row,
    verification_to_row,
)
from .sentences import corrupt, in_sentences
from .tables import CAMPAIGNS, FACTS, RECORDS, VERIFICATIONS, dump

_BUSY_TIMEOUT_S = 10.0
_CHUNK = 4096  # rows

_T = TypeVar("_T")


class Store:
    """An open store; one per thread. Close it, or use it as a context manager."""

    def __init__(self, path: Path, connection: Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, path: str | Path) -> Store:
        """Open the store at `path`, made if it does not exist; one of an older version is brought up to this one.

        Raises:
            InputError: the file is corrupt, not a store, or of a newer version.
            StorageError: it cannot be opened or written.
        """
        path = Path(path)
        make_dir(path.parent)
        with in_sentences(path):
            connection = connect(path, _BUSY_TIMEOUT_S)
        store = cls(path, connection)
        try:
            with in_sentences(path):
                prepare(path, connection, store._transaction)
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        self._connection.close()
        self._connection.engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def create_campaign(
        self,
        *,
        device: str,
        space_digest: str,
        source: str,
        protocol: TimingProtocol,
        plan: CampaignPlan[Any],
    ) -> Campaign:
        row = {
            "device": device,
            "space_digest": space_digest,
            "source": source,
            "protocol": protocol,
            "options": plan.options.to_json(),
            "plan_digest": plan.digest,
            "n_planned": len(plan),
            "created_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        with self._transaction():
            campaign_id = self._insert(CAMPAIGNS, row)
        return self._read(select(CAMPAIGNS).where(CAMPAIGNS.c.id == campaign_id), campaign_from_row)[0]

    def campaigns(self, device: str | None = None, source: str | None = None) -> list[Campaign]:
        """Campaigns, newest first, of one device or source where given."""
        wanted = select(CAMPAIGNS).where(*_matching(CAMPAIGNS, device, source)).order_by(CAMPAIGNS.c.id.desc())
        return self._read(wanted, campaign_from_row)

    def add_facts(self, facts: Mapping[str, Any]) -> str:
        """Keep what a device says of itself, once per content; returns the digest records refer to."""
        body = dump(facts)
        digest = hashlib.sha256(body.encode()).hexdigest()[:16]
        with self._transaction():
            self._connection.execute(insert(FACTS).prefix_with("OR IGNORE"), {"digest": digest, "body": body})
        return digest

    def facts(self, digest: str) -> dict[str, Any]:
        """The facts behind a record's `facts_digest`. Raises `InputError` for an unknown digest."""
        wanted = select(FACTS.c.body).where(FACTS.c.digest == digest)
        rows: list[dict[str, Any]] = self._read(wanted, lambda row: json.loads(row.body))
        if not rows:
            raise InputError(f"{self.path} holds no device facts {digest!r}")
        return rows[0]

    def add_record(self, campaign: Campaign, record: Record) -> None:
        """Keep one record, committed on return.

        Raises:
            InputError: its position is already stored, or its facts are not.
            StorageError: the disk is full or the store locked; nothing was written.
        """
        self.add_records(campaign, [record])

    def add_records(self, campaign: Campaign, records: Sequence[Record]) -> None:
        """Keep many records, committed together on return; raises as `add_record` does, and then keeps none."""
        if not records:
            return
        foreign = next((record.device for record in records if record.device != campaign.device), None)
        if foreign is not None:
            raise InputError(
                f"a record of device {foreign!r} does not belong to campaign {campaign.id} "
                f"of device {campaign.device!r}"
            )
        try:
            with self._transaction():
                self._connection.execute(insert(RECORDS), [record_to_row(campaign, record) for record in records])
        except IntegrityError as error:
            first, last = records[0].position, records[-1].position
            refused = f"position {first}" if len(records) == 1 else f"positions {first} to {last}"
            raise InputError(
                f"{self.path} refused {refused} of campaign {campaign.id} ({error.orig}); "
                "is another process running the same campaign?"
            ) from error

    def replace_record(self, campaign: Campaign, record: Record) -> None:
        """Keep a better measurement of a stored position in place of the one there, in one transaction."""
        there = (RECORDS.c.campaign_id == campaign.id, RECORDS.c.position == record.position)
        with self._transaction():
            self._connection.execute(update(RECORDS).where(*there).values(record_to_row(campaign, record)))

    def records(self, campaign: Campaign, kinds: Sequence[Kind] | None = None) -> list[Record]:
        """The records of a campaign by position, failed ones included; of some kinds where given.

        Retries and extra sentinels are measured later than their position says: `started_at` is the order in time.
        Samples and health are parsed when they are first looked at; what is wrong with them is an `InputError` then.
        """
        return list(self.each_record(campaign, kinds))

    def each_record(self, campaign: Campaign, kinds: Sequence[Kind] | None = None) -> Iterator[Record]:
        """As `records`, for whoever need not have all of them at once."""
        wanted = select(RECORDS).where(RECORDS.c.campaign_id == campaign.id).order_by(RECORDS.c.position)
        if kinds is not None:
            wanted = wanted.where(RECORDS.c.kind.in_(kinds))
        with self._reading():
            for row in self._connection.execute(wanted):
                yield record_from_row(row, campaign, partial(corrupt, self.path))

    def columns(self, campaign: Campaign) -> RecordColumns:
        """What predictors learn from the records of a campaign, by position, failed ones included.

        Samples stay in the file.
        """
        wanted = select(*COLUMNS).where(RECORDS.c.campaign_id == campaign.id).order_by(RECORDS.c.position)
        with self._reading():
            chunks = self._connection.execute(wanted).partitions(_CHUNK)
            return columns_from_rows(chain.from_iterable(chunks), campaign)

    def measuring_facts(self, campaign: Campaign) -> dict[str, Any] | None:
        """The facts of the device as it measured a campaign's first position; None where nothing is stored."""
        wanted = select(RECORDS.c.facts_digest).where(RECORDS.c.campaign_id == campaign.id)
        rows: list[str] = self._read(wanted.order_by(RECORDS.c.position).limit(1), lambda row: row.facts_digest)
        return self.facts(rows[0]) if rows else None

    def add_verification(self, record: VerificationRecord) -> int:
        """Keep one verification, committed on return; returns its id.

        Raises:
            InputError: its facts are not stored.
        """
        try:
            with self._transaction():
                return self._insert(VERIFICATIONS, verification_to_row(record))
        except IntegrityError as error:
            raise InputError(
                f"{self.path} refused a verification on {record.device!r} ({error.orig}); keep its facts first"
            ) from error

    def verifications(self, device: str | None = None, source: str | None = None) -> list[VerificationRecord]:
        """Verifications in the order of time, of one device or source where given."""
        wanted = select(VERIFICATIONS).where(*_matching(VERIFICATIONS, device, source))
        return self._read(wanted.order_by(VERIFICATIONS.c.started_at, VERIFICATIONS.c.id), verification_from_row)

    def positions(self, campaign: Campaign) -> set[int]:
        """The positions that are stored."""
        wanted = select(RECORDS.c.position).where(RECORDS.c.campaign_id == campaign.id)
        return set(self._read(wanted, lambda row: row.position))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing; waits for another writer from its start on, and so never fails half-way."""
        with in_sentences(self.path):
            self._connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.exec_driver_sql("COMMIT")
            except BaseException:
                if self._is_open():  # a full disk has already rolled it back
                    self._connection.exec_driver_sql("ROLLBACK")
                raise

    def _is_open(self) -> bool:
        """Whether a transaction is."""
        return bool(getattr(self._connection.connection.dbapi_connection, "in_transaction", False))

    def _insert(self, table: Table, row: Mapping[str, Any]) -> int:
        """Returns the row's id."""
        return int(self._connection.execute(insert(table), row).lastrowid)

    def _read(self, wanted: Select[Any], parse: Callable[[Row[Any]], _T]) -> list[_T]:
        with self._reading():
            return [parse(row) for row in self._connection.execute(wanted)]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with in_sentences(self.path):
            try:
                yield
            except (ValueError, TypeError, KeyError) as error:
                raise corrupt(self.path, str(error)) from error


def _matching(table: Table, device: str | None, source: str | None) -> list[ColumnElement[bool]]:
    given = {"device": device, "source": source}
    return [table.c[name] == value for name, value in given.items() if value is not None]
