"""One process at a time in a shared folder: a lock the system frees when its holder dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import StorageError
from ..files import make_dir, storage_error


@contextmanager
def file_lock(path: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock `path`, which is made when missing and stays. Raises `StorageError`, also after `timeout_s`."""
    make_dir(path.parent)
    lock = FileLock(path, timeout=timeout_s)
    try:
        lock.acquire()
    except Timeout as error:
        raise StorageError(
            f"another process has held {path} for {timeout_s:g} s; wait for it to end, or stop it"
        ) from error
    except OSError as error:
        raise storage_error(path, error) from error
    try:
        yield
    finally:
        lock.release()
