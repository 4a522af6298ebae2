"""The tables of the store, and how what they hold becomes values: the one place that names their columns."""

from __future__ import annotations

import json
from typing import Any

from edgewright.device_agent.timing import TimingProtocol
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.types import REAL, TypeDecorator

VERSION = 3
APPLICATION_ID = 0x45444757  # "EDGW" in the file's header: tells our files from other SQLite databases


def dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


class Json(TypeDecorator[Any]):
    """Anything of JSON, always spelt in the same way."""

    impl, cache_ok = Text, True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        return None if value is None else dump(value)

    def process_result_value(self, value: str | None, dialect: Any) -> Any:
        return None if value is None else json.loads(value)


class Protocol(TypeDecorator[TimingProtocol]):
    """A timing protocol; one from before there was a confidence interval did not ask for one."""

    impl, cache_ok = Text, True

    def process_bind_param(self, value: TimingProtocol | None, dialect: Any) -> str | None:
        return None if value is None else dump(value.to_json())

    def process_result_value(self, value: str | None, dialect: Any) -> TimingProtocol | None:
        return None if value is None else TimingProtocol.from_json({"ci_share": 1.0, **json.loads(value)})


def _architecture() -> list[Column[Any]]:
    """What is known of an architecture, in every table that has one."""
    return [
        Column("architecture_kind", String, nullable=False),
        Column("architecture_digest", String, nullable=False),
        Column("encoding", LargeBinary, nullable=False),
        Column("features", Json, nullable=False),
    ]


METADATA = MetaData()

FACTS = Table("facts", METADATA, Column("digest", String, primary_key=True), Column("body", Text, nullable=False))

CAMPAIGNS = Table(
    "campaigns",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("device", String, nullable=False),
    Column("space_digest", String, nullable=False),
    Column("source", String, nullable=False),
    Column("protocol", Protocol, nullable=False),
    Column("options", Json, nullable=False),
    Column("plan_digest", String, nullable=False),
    Column("n_planned", Integer, nullable=False),
    Column("created_at", String, nullable=False),
    Index("campaigns_by_device", "device", "source"),
)

RECORDS = Table(
    "records",
    METADATA,
    Column("campaign_id", ForeignKey("campaigns.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    *_architecture(),
    Column("facts_digest", ForeignKey("facts.digest"), nullable=False),
    Column("started_at", String, nullable=False),
    Column("latency_ms", REAL),
    Column("samples_ms", Text),
    Column("memory_mib", REAL),
    Column("memory_method", String),
    Column("n_warmup", Integer),
    Column("settled", Boolean),
    Column("load_ms", REAL),
    Column("size_bytes", Integer),
    Column("child_ms", REAL),
    Column("emit_ms", REAL),
    Column("overhead_ms", REAL),
    Column("health", Text, nullable=False),
    Column("error_kind", String),
    Column("error_message", String),
    Column("attempts", Integer, nullable=False),
    Column("schema", Integer, nullable=False),
    Column("steady", Boolean),
    Column("marks", Json, nullable=False),
    CheckConstraint("(samples_ms IS NULL) <> (error_kind IS NULL)"),
    CheckConstraint("(error_kind IS NULL) = (error_message IS NULL)"),
    CheckConstraint("(samples_ms IS NULL) = (latency_ms IS NULL)"),
)

VERIFICATIONS = Table(
    "verifications",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("device", String, nullable=False),
    Column("source", String, nullable=False),
    Column("facts_digest", ForeignKey("facts.digest"), nullable=False),
    Column("started_at", String, nullable=False),
    *_architecture(),
    Column("samples_ms", Json, nullable=False),
    Column("latency_ms", REAL, nullable=False),
    Column("memory_mib", REAL),
    Column("memory_method", String),
    Column("predicted_latency_ms", REAL),
    Column("upper_latency_ms", REAL),
    Column("predicted_memory_mib", REAL),
    Column("upper_memory_mib", REAL),
    Column("protocol", Protocol, nullable=False),
    Column("budget", Json, nullable=False),
    Column("task", String, nullable=False),
    Column("fits", Boolean, nullable=False),
    Index("verifications_by_device", "device", "source"),
)
