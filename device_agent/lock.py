"""A lock that lets the agents of one device measure one at a time; it is released when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from .isolation import Wait

_RETRY_S = 0.02


class LockTaken(RuntimeError):
    """Another agent has been measuring for too long."""


class MeasuringLock:
    """A lock file that agents share, so that they measure one after the other."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def held(self, wait: Wait, timeout_s: float) -> Iterator[None]:
        """Hold the lock. Waits with `wait`, so that heartbeats continue. Raises `LockTaken` after `timeout_s`."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _lock(descriptor, wait, timeout_s)
            yield
        finally:
            os.close(descriptor)


def _lock(descriptor: int, wait: Wait, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            # lockf, because a lock taken with flock would live on in a forked child.
            return fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= deadline:
                raise LockTaken(
                    f"another agent on this device has been measuring for {timeout_s:g} s; wait for it, or stop it"
                ) from None
        wait([], _RETRY_S)
