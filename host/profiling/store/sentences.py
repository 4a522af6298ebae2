"""The database's errors about the store's file, as sentences that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from ...errors import InputError, StorageError


@contextmanager
def in_sentences(path: Path) -> Iterator[None]:
    """Turn the database's errors into ours; a broken rule of the tables is left to the caller."""
    try:
        yield
    except IntegrityError:
        raise
    except OperationalError as error:
        raise _storage_error(path, str(error.orig)) from error
    except DBAPIError as error:
        raise corrupt(path, str(error.orig)) from error


def _storage_error(path: Path, problem: str) -> StorageError:
    if "locked" in problem:
        next_step = "another process is writing to it; wait for it to finish or stop it"
    elif "full" in problem:
        next_step = "free some space or choose another workspace, then start again with `resume`"
    elif "disk I/O" in problem:
        next_step = "check the disk and the free space, then start again with `resume`"
    else:
        next_step = "check that the file and its folder can be written, or choose another workspace"
    return StorageError(f"cannot use the store {path}: {problem}; {next_step}")


def corrupt(path: Path, problem: str) -> InputError:
    return InputError(
        f"{path} is not a readable store of measurements ({problem}); "
        "move it away to start a new one, or put a backup in its place"
    )
