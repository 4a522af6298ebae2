"""One process at a time in a shared folder: a lock the system frees when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import StorageError
from ..files import make_dir, storage_error

_RETRY_S = 0.05


@contextmanager
def file_lock(path: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock `path`, which is made when missing and stays. Raises `StorageError`, also after `timeout_s`."""
    make_dir(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise storage_error(path, error) from error
    try:
        _take(descriptor, path, timeout_s)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise StorageError(
                    f"another process has held {path} for {timeout_s:g} s; wait for it to end, or stop it"
                ) from None
        except OSError as error:
            raise storage_error(path, error) from error
        time.sleep(_RETRY_S)
