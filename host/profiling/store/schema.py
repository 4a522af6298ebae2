"""The tables of the store by version: a new store is made, and an old one brought up, by the same statements."""

from __future__ import annotations

APPLICATION_ID = 0x45444757  # "EDGW" in the file's header: tells our files from other SQLite databases

_VERSION_1 = """
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

_VERSION_2 = """
ALTER TABLE records ADD COLUMN steady INTEGER;
ALTER TABLE records ADD COLUMN marks TEXT NOT NULL DEFAULT '[]';

CREATE TABLE corrections (
    campaign_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    latency_ms REAL NOT NULL,
    factor REAL NOT NULL,
    method TEXT NOT NULL,
    PRIMARY KEY (campaign_id, position),
    FOREIGN KEY (campaign_id, position) REFERENCES records (campaign_id, position) ON DELETE CASCADE
);

CREATE TABLE verifications (
    id INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    template_sha TEXT NOT NULL,
    facts_digest TEXT NOT NULL REFERENCES facts (digest),
    started_at TEXT NOT NULL,
    gates_digest TEXT NOT NULL,
    packed_gates BLOB NOT NULL,
    counts TEXT NOT NULL,
    samples_ms TEXT NOT NULL,
    latency_ms REAL NOT NULL,
    memory_mib REAL,
    memory_method TEXT,
    predicted_latency_ms REAL,
    upper_latency_ms REAL,
    predicted_memory_mib REAL,
    upper_memory_mib REAL,
    protocol TEXT NOT NULL,
    budget TEXT NOT NULL,
    task TEXT NOT NULL,
    fits INTEGER NOT NULL
);

CREATE INDEX verifications_by_device ON verifications (device, template_sha);
"""

_VERSIONS = (_VERSION_1, _VERSION_2)
VERSION = len(_VERSIONS)


def statements(since: int = 0) -> list[str]:
    """What makes the tables of this version out of those of version `since` (0: none), for one transaction."""
    return [each for version in _VERSIONS[since:] for each in version.split(";") if each.strip()]
