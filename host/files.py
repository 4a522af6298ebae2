"""Files that are written completely or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import StorageError

_NEXT_STEP = {
    errno.ENOSPC: "free some space or choose another folder",
    errno.EDQUOT: "free some space or choose another folder",
    errno.EACCES: "choose a folder you may write to",
    errno.EPERM: "choose a folder you may write to",
    errno.EROFS: "choose a folder you may write to",
    errno.ENOTDIR: "a file is in the way; choose another folder",
    errno.EEXIST: "a file is in the way; choose another folder",
}


def storage_error(path: Path, error: OSError) -> StorageError:
    """The sentence for an `OSError` while writing `path`."""
    next_step = _NEXT_STEP.get(error.errno or 0, "check the path and the disk")
    return StorageError(f"cannot write {path}: {error.strerror or error}; {next_step}")


def make_dir(path: Path) -> Path:
    """Create `path` and its parents. Raises `StorageError`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error
    return path


@contextmanager
def atomic_path(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on a clean exit it is synced and becomes `path`, else it is removed.

    Raises `StorageError` when the disk is full or the folder is not writable; `path` is then as it was before.
    """
    make_dir(path.parent)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise storage_error(path, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all. Raises `StorageError`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def sha256_of(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()
