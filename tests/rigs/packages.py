"""Debian's arm64 packages that rigs are made of, unpacked once and kept."""

from __future__ import annotations

import fcntl
import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.rigs.client import rig_root


def unpacked(names: Sequence[str]) -> Path:
    """A folder with the files of these packages (without their dependencies). Read only: rigs copy or mount it."""
    trees = rig_root() / "arm64"
    trees.mkdir(exist_ok=True)
    key = hashlib.sha256(" ".join(sorted(names)).encode()).hexdigest()[:16]
    with open(trees / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (trees / key).is_dir():
            with tempfile.TemporaryDirectory(prefix="unpack-", dir=trees) as scratch:
                _unpack(names, trees / "debs", Path(scratch) / "tree")
                (Path(scratch) / "tree").rename(trees / key)
    return trees / key


def _unpack(names: Sequence[str], cache: Path, into: Path) -> None:
    from edgewright.devices.bundle.debian import fetch_packages, unpack_packages

    cache.mkdir(exist_ok=True)
    into.mkdir()
    unpack_packages(fetch_packages(names, cache), into)
