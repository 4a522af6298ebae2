"""The tables of the store, and how their version is checked."""

from __future__ import annotations

VERSION = 1
APPLICATION_ID = 0x45444757  # "EDGW" in the file's header: tells our files from other SQLite databases

TABLES = """
CREATE TABLE facts (
    digest TEXT PRIMARY KEY,
    body TEXT NOT NULL
);

CREATE TABLE campaigns (
    id INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    space_digest TEXT NOT NULL,
    template_sha TEXT NOT NULL,
    protocol TEXT NOT NULL,
    options TEXT NOT NULL,
    plan_digest TEXT NOT NULL,
    n_planned INTEGER NOT NULL,
    created_at TEXT NOT NULL
);

CREATE INDEX campaigns_by_device ON campaigns (device, template_sha);

CREATE TABLE records (
    campaign_id INTEGER NOT NULL REFERENCES campaigns (id),
    position INTEGER NOT NULL,
    kind TEXT NOT NULL,
    gates_digest TEXT NOT NULL,
    packed_gates BLOB NOT NULL,
    counts TEXT NOT NULL,
    facts_digest TEXT NOT NULL REFERENCES facts (digest),
    started_at TEXT NOT NULL,
    latency_ms REAL,
    samples_ms TEXT,
    memory_mib REAL,
    memory_method TEXT,
    n_warmup INTEGER,
    settled INTEGER,
    load_ms REAL,
    size_bytes INTEGER,
    child_ms REAL,
    emit_ms REAL,
    overhead_ms REAL,
    health TEXT NOT NULL,
    error_kind TEXT,
    error_message TEXT,
    attempts INTEGER NOT NULL,
    schema INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, position),
    CHECK ((samples_ms IS NULL) <> (error_kind IS NULL)),
    CHECK ((error_kind IS NULL) = (error_message IS NULL)),
    CHECK ((samples_ms IS NULL) = (latency_ms IS NULL))
);
"""


def statements() -> list[str]:
    """The tables, one statement each, so that they can be made inside one transaction."""
    return [statement for statement in TABLES.split(";") if statement.strip()]
