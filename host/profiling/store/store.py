"""The SQLite file that keeps campaigns and their records; the only module that speaks SQL.

A record is committed as soon as it is added. The journal is a write-ahead log, so a killed process loses nothing that
was committed, and readers do not stop a running campaign. A power cut may lose the last few records, never the file.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from edgewright.device_agent.timing import TimingProtocol

from ...errors import InputError
from ...files import make_dir
from ..plan import Campaign, CampaignPlan
from ..records import Kind, Record
from ..verifications import VerificationRecord
from . import schema
from .rows import (
    RECORD_COLUMNS,
    VERIFICATION_COLUMNS,
    campaign_from_row,
    dump,
    record_from_row,
    record_to_row,
    verification_from_row,
    verification_to_row,
)
from .sentences import corrupt, in_sentences

_BUSY_TIMEOUT_S = 10.0

_T = TypeVar("_T")


class Store:
    """An open store; one per thread. Close it, or use it as a context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
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
            connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        store = cls(path, connection)
        try:
            store._prepare()
        except BaseException:
            connection.close()
            raise
        return store

    def close(self) -> None:
        self._connection.close()

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
        plan: CampaignPlan,
    ) -> Campaign:
        row = {
            "device": device,
            "space_digest": space_digest,
            "template_sha": source,
            "protocol": dump(protocol.to_json()),
            "options": dump(plan.options.to_json()),
            "plan_digest": plan.digest,
            "n_planned": len(plan),
            "created_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        with self._transaction() as cursor:
            cursor.execute(_insert("campaigns", list(row)), row)
            campaign_id = cursor.lastrowid
        return campaign_from_row({"id": campaign_id, **row})

    def campaigns(self, device: str | None = None, source: str | None = None) -> list[Campaign]:
        """Campaigns, newest first, of one device or source where given."""
        rows = self._select(
            "SELECT * FROM campaigns WHERE (:device IS NULL OR device = :device) "
            "AND (:source IS NULL OR template_sha = :source) ORDER BY id DESC",
            {"device": device, "source": source},
        )
        return [self._read(campaign_from_row, row) for row in rows]

    def add_facts(self, facts: Mapping[str, Any]) -> str:
        """Keep what a device says of itself, once per content; returns the digest records refer to."""
        body = dump(facts)
        digest = hashlib.sha256(body.encode()).hexdigest()[:16]
        with self._transaction() as cursor:
            cursor.execute("INSERT OR IGNORE INTO facts (digest, body) VALUES (?, ?)", (digest, body))
        return digest

    def facts(self, digest: str) -> dict[str, Any]:
        """The facts behind a record's `facts_digest`. Raises `InputError` for an unknown digest."""
        rows = self._select("SELECT body FROM facts WHERE digest = :digest", {"digest": digest})
        if not rows:
            raise InputError(f"{self.path} holds no device facts {digest!r}")
        facts: dict[str, Any] = self._read(lambda row: json.loads(row["body"]), rows[0])
        return facts

    def add_record(self, campaign: Campaign, record: Record) -> None:
        """Keep one record, committed on return.

        Raises:
            InputError: its position is already stored, or its facts are not.
            StorageError: the disk is full or the store locked; nothing was written.
        """
        if record.device != campaign.device:
            raise InputError(
                f"a record of device {record.device!r} does not belong to campaign {campaign.id} "
                f"of device {campaign.device!r}"
            )
        try:
            with self._transaction() as cursor:
                cursor.execute(_insert("records", RECORD_COLUMNS), record_to_row(campaign, record))
        except sqlite3.IntegrityError as error:
            raise InputError(
                f"{self.path} refused position {record.position} of campaign {campaign.id} ({error}); "
                "is another process running the same campaign?"
            ) from error

    def replace_record(self, campaign: Campaign, record: Record) -> None:
        """Keep a better measurement of a stored position in place of the one there, in one transaction."""
        row = record_to_row(campaign, record)
        changed = [name for name in RECORD_COLUMNS if name not in ("campaign_id", "position")]
        assignments = ", ".join(f"{name} = :{name}" for name in changed)
        with self._transaction() as cursor:
            cursor.execute(
                f"UPDATE records SET {assignments} WHERE campaign_id = :campaign_id AND position = :position", row
            )

    def records(self, campaign: Campaign, kinds: Sequence[Kind] | None = None) -> list[Record]:
        """The records of a campaign by position, failed ones included; of some kinds where given.

        Retries and extra sentinels are measured later than their position says: `started_at` is the order in time.
        """
        rows = self._select(
            "SELECT * FROM records WHERE campaign_id = :campaign ORDER BY position",
            {"campaign": campaign.id},
        )
        wanted = [row for row in rows if kinds is None or row["kind"] in kinds]
        return [self._read(lambda row: record_from_row(row, campaign), row) for row in wanted]

    def add_verification(self, record: VerificationRecord) -> int:
        """Keep one verification, committed on return; returns its id.

        Raises:
            InputError: its facts are not stored.
        """
        try:
            with self._transaction() as cursor:
                cursor.execute(_insert("verifications", VERIFICATION_COLUMNS), verification_to_row(record))
                return int(cursor.lastrowid or 0)
        except sqlite3.IntegrityError as error:
            raise InputError(
                f"{self.path} refused a verification on {record.device!r} ({error}); keep its facts first"
            ) from error

    def verifications(self, device: str | None = None, source: str | None = None) -> list[VerificationRecord]:
        """Verifications in the order of time, of one device or source where given."""
        rows = self._select(
            "SELECT * FROM verifications WHERE (:device IS NULL OR device = :device) "
            "AND (:source IS NULL OR template_sha = :source) ORDER BY started_at, id",
            {"device": device, "source": source},
        )
        return [self._read(verification_from_row, row) for row in rows]

    def positions(self, campaign: Campaign) -> set[int]:
        """The positions that are stored."""
        rows = self._select("SELECT position FROM records WHERE campaign_id = :campaign", {"campaign": campaign.id})
        return {row["position"] for row in rows}

    def _prepare(self) -> None:
        with in_sentences(self.path):
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA foreign_keys = ON")
            if self._is_new():
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._create_tables()
            self._check_version()
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            problem = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise corrupt(self.path, problem)
        self._migrate()

    def _is_new(self) -> bool:
        n_tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        return n_tables == 0 and self._pragma("user_version") == 0 and self._pragma("application_id") == 0

    def _create_tables(self) -> None:
        """All or nothing: a process killed half-way leaves an empty file, which is new again."""
        with self._transaction() as cursor:
            if not self._is_new():  # another process was faster
                return
            for statement in schema.statements():
                cursor.execute(statement)
            cursor.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            cursor.execute(f"PRAGMA user_version = {schema.VERSION}")

    def _migrate(self) -> None:
        """All or nothing, as above: a process killed half-way leaves a store of the old version."""
        if self._pragma("user_version") == schema.VERSION:
            return
        with self._transaction() as cursor:
            for statement in schema.statements(since=self._pragma("user_version")):  # none: another was faster
                cursor.execute(statement)
            cursor.execute(f"PRAGMA user_version = {schema.VERSION}")

    def _check_version(self) -> None:
        if self._pragma("application_id") != schema.APPLICATION_ID:
            raise InputError(
                f"{self.path} is a database of another program, not a store of measurements; "
                "choose another workspace or move the file away"
            )
        version = self._pragma("user_version")
        if not 1 <= version <= schema.VERSION:
            raise InputError(
                f"{self.path} is a store of version {version}, this program reads versions up to {schema.VERSION}; "
                "update edgewright or choose another workspace"
            )

    def _pragma(self, name: str) -> int:
        value: int = self._connection.execute(f"PRAGMA {name}").fetchone()[0]
        return value

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        with in_sentences(self.path):
            cursor = self._connection.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has already rolled it back
                    cursor.execute("ROLLBACK")
                raise

    def _select(self, query: str, values: Mapping[str, Any]) -> list[sqlite3.Row]:
        with in_sentences(self.path):
            return self._connection.execute(query, values).fetchall()

    def _read(self, parse: Callable[[sqlite3.Row], _T], row: sqlite3.Row) -> _T:
        try:
            return parse(row)
        except (ValueError, TypeError, KeyError) as error:
            raise corrupt(self.path, str(error)) from error


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(':' + name for name in columns)})"
