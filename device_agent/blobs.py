"""Stores files by the sha256 of their content, within a quota.

The host pushes each file once, in chunks; a push resumes after a broken connection and is verified at its end.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
import tempfile
import time
from pathlib import Path
from typing import Iterator

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_ARTIFACT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,126}\Z")
DEFAULT_QUOTA_BYTES = 4 << 30
_LOCK_S = 5.0
_PARTIAL_KEPT_S = 3600.0


class BlobError(ValueError):
    """A blob that is refused, missing or damaged."""


def check_sha(sha: object) -> str:
    """`sha` if it is 64 lower-case hex digits, so that it is safe as a file name. Raises `BlobError`."""
    if not isinstance(sha, str) or not _SHA256.match(sha):
        raise BlobError(f"a blob is named by the 64 lower-case hex digits of its sha256, got {sha!r:.100}")
    return sha


def check_artifact_name(name: object) -> str:
    """`name` if it is a plain file name. Raises `BlobError`."""
    if not isinstance(name, str) or not _ARTIFACT_NAME.match(name):
        raise BlobError(
            f"a delivered file is named by at most 127 letters, digits, '.', '_' and '-', the first no '.' or '-'; "
            f"got {name!r:.200}"
        )
    return name


def make_private_dir(path: Path) -> Path:
    """Create `path` for this user only (0700). Raises `BlobError` when it is a link or belongs to another user."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = os.lstat(path)
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise BlobError(
            f"{path} must be a folder of user {os.getuid()}, not a link or another user's; remove it or choose another"
        )
    os.chmod(path, 0o700)
    return path


class BlobStore:
    """Blobs in `<home>/blobs`, deliveries in `<home>/artifacts`.

    Several agents may share one home: a lock guards a partial blob while it grows, and complete files appear by rename.
    """

    def __init__(self, home: Path, quota_bytes: int = DEFAULT_QUOTA_BYTES) -> None:
        make_private_dir(home)
        self._blobs = make_private_dir(home / "blobs")
        self._artifacts = make_private_dir(home / "artifacts")
        self._remove_partial_deliveries()
        self._quota_bytes = quota_bytes

    def have(self, sha: str) -> tuple[bool, int]:
        """Whether the blob is complete, and how many of its first bytes are here."""
        check_sha(sha)
        for path, complete in ((self._blobs / sha, True), (self._partial(sha), False)):
            try:
                return complete, path.stat().st_size
            except FileNotFoundError:
                continue
        return False, 0

    def put(self, sha: str, size: int, offset: int, chunk: bytes) -> tuple[bool, int]:
        """Append `chunk` at `offset` of the blob of `size` bytes; the last chunk verifies and publishes it.

        A chunk that does not start where the partial file ends is not written; the reply tells where to continue.

        Returns: as `have`.
        Raises: `BlobError` for a size above the quota, a chunk beyond the end, or content with another hash.
        """
        complete, length = self.have(sha)
        if complete:
            return complete, length
        self._check_extent(size, offset, len(chunk))
        self._make_room(size, keep=sha)
        with open(self._partial(sha), "ab") as partial:
            _lock(partial.fileno())
            length = os.fstat(partial.fileno()).st_size
            if (self._blobs / sha).exists():  # another agent published it while we waited for the lock
                return self.have(sha)
            if length > size:  # left by a push that announced another size
                partial.truncate(0)
                length = 0
            if offset != length:
                return False, length
            partial.write(chunk)
            partial.flush()
            length += len(chunk)
            if length < size:
                return False, length
            os.fsync(partial.fileno())
            self._publish(sha)
        return True, length

    def read(self, sha: str) -> bytes:
        """The verified content. Raises `BlobError` when it is missing or damaged; a damaged blob is removed."""
        path = self._blobs / check_sha(sha)
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise BlobError(f"blob {sha} is not on this device; push it first") from error
        if hashlib.sha256(content).hexdigest() != sha:
            path.unlink()
            raise BlobError(f"blob {sha} was damaged on the device's disk and has been removed; push it again")
        os.utime(path)
        return content

    def path(self, sha: str) -> Path:
        """The path of the verified blob. Raises as `read` does."""
        self.read(sha)
        return self._blobs / sha

    def deliver(self, sha: str, name: str) -> Path:
        """Write the blob as `name` into the artifacts folder, or leave nothing. Raises `BlobError`, `OSError`."""
        target = self._artifacts / check_artifact_name(name)
        content = self.read(sha)
        handle, temporary = tempfile.mkstemp(prefix=".delivery-", dir=str(self._artifacts))
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise
        return target.resolve()

    def _remove_partial_deliveries(self) -> None:
        """Left behind by agents that were killed."""
        for path in self._artifacts.glob(".delivery-*"):
            try:
                if time.time() - path.stat().st_mtime > _PARTIAL_KEPT_S:
                    path.unlink()
            except FileNotFoundError:
                pass  # another agent removed it first

    def _partial(self, sha: str) -> Path:
        return self._blobs / f"{sha}.part"

    def _check_extent(self, size: int, offset: int, length: int) -> None:
        if not 0 < size <= self._quota_bytes:
            raise BlobError(f"a blob must have 1 to {self._quota_bytes} bytes (the quota), got {size}")
        if offset < 0 or offset + length > size:
            raise BlobError(f"a chunk of {length} bytes at offset {offset} does not lie inside a blob of {size} bytes")

    def _publish(self, sha: str) -> None:
        partial = self._partial(sha)
        digest = sha256_of_file(partial)
        if digest != sha:
            partial.unlink()
            raise BlobError(f"content pushed as {sha} has the sha256 {digest}; it was discarded, push it again")
        os.replace(partial, self._blobs / sha)

    def _make_room(self, size: int, keep: str) -> None:
        """Remove the least recently used blobs until `size` bytes more fit in the quota."""
        others = sorted(self._others(keep))
        used = sum(length for _, length, _ in others)
        for _, length, path in others:
            if used + size <= self._quota_bytes:
                return
            path.unlink()
            used -= length

    def _others(self, keep: str) -> Iterator[tuple[int, int, Path]]:
        for path in self._blobs.iterdir():
            if path.name.split(".")[0] != keep:
                facts = path.stat()
                yield facts.st_mtime_ns, facts.st_size, path


def _lock(descriptor: int) -> None:
    """Wait for the lock, but not for ever: its holder may be stopped. Raises `BlobError`."""
    deadline = time.monotonic() + _LOCK_S
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise BlobError(f"another agent has been writing this blob for {_LOCK_S:g} s; try again") from None
        time.sleep(0.02)


def sha256_of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
