"""Upgrades stores of older versions in place: no measurement is copied or lost."""

from __future__ import annotations

from sqlalchemy import Connection

from .tables import VERIFICATIONS, VERSION

_STEADINESS = (
    "ALTER TABLE records ADD COLUMN steady BOOLEAN",
    "ALTER TABLE records ADD COLUMN marks TEXT NOT NULL DEFAULT '[]'",
)
# Whatever was measured before version 3 is a subnet, and made from a template.
_ARCHITECTURES = (
    "ALTER TABLE {} RENAME COLUMN gates_digest TO architecture_digest",
    "ALTER TABLE {} RENAME COLUMN packed_gates TO encoding",
    "ALTER TABLE {} RENAME COLUMN counts TO features",
    "ALTER TABLE {} ADD COLUMN architecture_kind VARCHAR NOT NULL DEFAULT 'gates'",
)
_SOURCE = "ALTER TABLE {} RENAME COLUMN template_sha TO source"


def bring_up(connection: Connection, version: int) -> None:
    """From version 1 or 2 to this one; the caller's transaction makes it all or nothing."""
    statements = [_SOURCE.format("campaigns"), *(each.format("records") for each in _ARCHITECTURES)]
    if version == 1:
        statements += _STEADINESS
    else:  # corrections follow from the records, and are computed when they are needed
        statements += ["DROP TABLE corrections", _SOURCE.format("verifications")]
        statements += [each.format("verifications") for each in _ARCHITECTURES]
    for statement in statements:
        connection.exec_driver_sql(statement)
    if version == 1:
        VERIFICATIONS.create(connection, checkfirst=False)
    connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
