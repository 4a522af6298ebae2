"""The SQLite file itself: opened, made, checked, and brought up from an older version."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, create_engine
from sqlalchemy.pool import NullPool

from ...errors import InputError
from .migrations import bring_up
from .sentences import corrupt
from .tables import APPLICATION_ID, CAMPAIGNS, FACTS, METADATA, VERSION

Transaction = Callable[[], AbstractContextManager[None]]

_WHOLLY_CHECKED_BYTES = 2**26


def connect(path: Path, busy_timeout_s: float) -> Connection:
    """One connection, in which every statement stands for itself unless it is between BEGIN and COMMIT."""
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={"timeout": busy_timeout_s},
    )
    return engine.connect()


def prepare(path: Path, connection: Connection, transaction: Transaction) -> None:
    """A new file becomes a store; one that is there is checked, and brought up to this version.

    Raises `InputError` for a corrupt file, another program's, and one of a newer version.
    """
    connection.exec_driver_sql("PRAGMA foreign_keys = ON")
    if _is_new(connection):
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        _make(connection, transaction)
    _check(path, connection)
    connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    connection.exec_driver_sql("PRAGMA synchronous = NORMAL")
    for part in _checked_parts(path):
        problem = _pragma(connection, f"quick_check({part})")
        if problem != "ok":
            raise corrupt(path, problem)
    if _pragma(connection, "user_version") != VERSION:
        _migrate(connection, transaction)


def _checked_parts(path: Path) -> tuple[str | int, ...]:
    """The whole of a small file, up to its first problem. Of a large one the small tables, as reading it all would take
    every command seconds: damage to its records is found where they are read."""
    if path.stat().st_size <= _WHOLLY_CHECKED_BYTES:
        return (1,)
    return CAMPAIGNS.name, FACTS.name


def _is_new(connection: Connection) -> bool:
    n_tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()
    return n_tables == 0 and _pragma(connection, "user_version") == 0 and _pragma(connection, "application_id") == 0


def _make(connection: Connection, transaction: Transaction) -> None:
    """All or nothing: a process killed half-way leaves an empty file, which is new again."""
    with transaction():
        if not _is_new(connection):  # another process was faster
            return
        METADATA.create_all(connection, checkfirst=False)
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")


def _migrate(connection: Connection, transaction: Transaction) -> None:
    """All or nothing, as above: a process killed half-way leaves a store of the old version."""
    with transaction():
        version = _pragma(connection, "user_version")
        if version != VERSION:  # another process may have been faster
            bring_up(connection, version)


def _check(path: Path, connection: Connection) -> None:
    if _pragma(connection, "application_id") != APPLICATION_ID:
        raise InputError(
            f"{path} is a database of another program, not a store of measurements; "
            "choose another workspace or move the file away"
        )
    version = _pragma(connection, "user_version")
    if not 1 <= version <= VERSION:
        raise InputError(
            f"{path} is a store of version {version}, this program reads versions up to {VERSION}; "
            "update edgewright or choose another workspace"
        )


def _pragma(connection: Connection, name: str) -> Any:
    return connection.exec_driver_sql(f"PRAGMA {name}").scalar()
