"""One process at a time: file locks, which the system releases when their holder dies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from .errors import StorageError
from .files import make_dir, storage_error

_PATIENCE_S = 1.0  # of a wait that is not reported


@contextmanager
def file_lock(
    path: Path,
    timeout_s: float,
    on_wait: Callable[[], None] = lambda: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Hold the lock `path`, which is made when missing; a thread may take it again while it holds it.

    `on_wait` is called once where another process does not let go within a second. Raises `StorageError`, also after
    `timeout_s` and when the wait is cancelled.
    """
    make_dir(path.parent)
    lock: BaseFileLock = FileLock(path, is_singleton=True)
    try:
        if not _acquired(lock, min(_PATIENCE_S, timeout_s)):
            on_wait()
            lock.acquire(timeout=max(0.0, timeout_s - _PATIENCE_S), cancel_check=is_cancelled)
    except Timeout as error:
        raise StorageError(f"another process holds {path}; wait for it to end, or stop it") from error
    except OSError as error:
        raise storage_error(path, error) from error
    try:
        yield
    finally:
        lock.release()


def is_locked_elsewhere(path: Path) -> bool:
    """Whether another process, or another thread of this one, holds the lock `path`. Nothing is written."""
    if not path.exists():
        return False
    lock: BaseFileLock = FileLock(path, is_singleton=True)
    try:
        free = _acquired(lock, 0.0)
    except OSError as error:
        raise storage_error(path, error) from error
    if free:
        lock.release()
    return not free


def _acquired(lock: BaseFileLock, timeout_s: float) -> bool:
    try:
        lock.acquire(timeout=timeout_s)
    except Timeout:
        return False
    return True
