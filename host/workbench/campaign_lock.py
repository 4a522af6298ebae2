"""One process of a workspace at a time runs a campaign on a device or does what would disturb one; others see which."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import DeviceRefused, Interrupted
from ..file_lock import file_lock, is_locked_elsewhere
from ..files import write_atomic
from ..workspace import Workspace

_FOR_EVER_S = 1e9
_GLANCE_S = 0.2  # longer than the moment for which others take a lock to see whether it is free


class CampaignLock:
    """Held by the process that runs a campaign on a device, or that would disturb one; freed when that process dies."""

    def __init__(self, workspace: Workspace, device_name: str) -> None:
        self._device_name = device_name
        self._path = workspace.locks / f"{device_name}.lock"
        self._campaign_path = self._path.with_suffix(".campaign")

    @contextmanager
    def held(self, say: Callable[[str], None], stop: threading.Event | None = None) -> Iterator[None]:
        """Wait until no other process holds the lock, then hold it.

        Raises `Interrupted` when `stop` is set while waiting.
        """

        def stopped() -> bool:
            if stop is not None and stop.is_set():
                raise Interrupted(f"stopped; another process was using {self._device_name!r}")
            return False

        sentence = f"another process is using {self._device_name!r}: waiting for it to end"
        with file_lock(self._path, _FOR_EVER_S, lambda: say(sentence), stopped):
            yield

    @contextmanager
    def held_now(self, what: str) -> Iterator[None]:
        """Hold the lock without waiting for it, so that campaigns wait. `what` is the work that would disturb them.

        Raises `DeviceRefused` when another process holds it.
        """

        def refuse() -> None:
            raise DeviceRefused(
                f"another process is using {self._device_name!r}; wait for it to end, or stop it, then {what}"
            )

        with file_lock(self._path, _GLANCE_S, refuse):
            yield

    @contextmanager
    def measuring(self, campaign_id: int) -> Iterator[None]:
        """Tell other processes which campaign the holder of the lock is running."""
        write_atomic(self._campaign_path, f"{campaign_id} {os.getpid()}".encode())
        try:
            yield
        finally:
            self._campaign_path.unlink(missing_ok=True)

    def running(self) -> int | None:
        """The campaign that another process runs right now; None where there is none."""
        if not is_locked_elsewhere(self._path):
            return None
        try:
            campaign_id, pid = map(int, self._campaign_path.read_text().split())
            os.kill(pid, 0)  # whoever was killed has left its file
        except (OSError, ValueError):
            return None
        return campaign_id
