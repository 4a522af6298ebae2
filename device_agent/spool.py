"""Keeps finished records on the device until the host confirms that it has stored them.

One file per record, `spool/<key>/<position>-<attempt>.json`, each written completely or not at all. A key names one
campaign. A record that was being sent when the connection broke is still here afterwards.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any, Iterable, Iterator, Tuple

_KEY = re.compile(r"[0-9a-f]{32}\Z")
_FILE = re.compile(r"(\d{1,9})-(\d{1,4})\.json\Z")
# Records of a campaign that nobody resumes within this time are removed.
_KEPT_S = 60 * 24 * 3600.0

# A measuring job of a campaign: its position in the plan, and which try this is.
JobId = Tuple[int, int]


class SpoolError(ValueError):
    """A key or a job id that names no record."""


class Spool:
    """The records of all campaigns, below `home`/spool."""

    def __init__(self, home: Path) -> None:
        self._root = home / "spool"
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._forget_old()

    def keep(self, key: str, job: JobId, record: dict[str, Any]) -> None:
        """Keep a record. Raises `OSError` when the disk is full, and leaves no part of the record."""
        folder = self._folder(key)
        folder.mkdir(mode=0o700, exist_ok=True)
        target = folder / _file_name(job)
        temporary = target.with_suffix(".part")
        try:
            temporary.write_text(json.dumps(record, separators=(",", ":")))
            os.replace(temporary, target)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def jobs(self, key: str) -> list[JobId]:
        """The jobs of a campaign whose records are kept, in the order of its plan."""
        return sorted(job for job, _ in self._files(key))

    def read(self, key: str, job: JobId) -> dict[str, Any] | None:
        """One record; None when it is missing or damaged."""
        path = self._folder(key) / _file_name(job)
        try:
            record = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return record if isinstance(record, dict) else None

    def drop(self, key: str, jobs: Iterable[JobId]) -> None:
        """Remove records; missing ones are no error."""
        folder = self._folder(key)
        for job in jobs:
            (folder / _file_name(job)).unlink(missing_ok=True)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()

    def _folder(self, key: str) -> Path:
        if not _KEY.match(key):
            raise SpoolError(f"a campaign's key is 32 hexadecimal digits, got {key!r:.100}")
        return self._root / key

    def _files(self, key: str) -> Iterator[tuple[JobId, Path]]:
        folder = self._folder(key)
        if not folder.is_dir():
            return
        for path in folder.iterdir():
            match = _FILE.match(path.name)
            if match:
                yield (int(match.group(1)), int(match.group(2))), path

    def _forget_old(self) -> None:
        for folder in self._root.iterdir():
            if folder.is_dir() and time.time() - folder.stat().st_mtime > _KEPT_S:
                shutil.rmtree(folder, ignore_errors=True)


def check_job_id(value: Any) -> JobId:
    """A job id as it comes off the wire: a list of two small integers. Raises `SpoolError`."""
    if (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(part, int) and not isinstance(part, bool) for part in value)
        and 0 <= value[0] < 10**9
        and 1 <= value[1] < 10**4
    ):
        return value[0], value[1]
    raise SpoolError(f"a job's id is [position, attempt], got {value!r:.100}")


def _file_name(job: JobId) -> str:
    return f"{job[0]}-{job[1]}.json"
