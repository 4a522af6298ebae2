"""Measures this process's heap or anonymous memory, whose growth is the memory that a model takes."""

from __future__ import annotations

import ctypes
import errno
from contextlib import contextmanager
from typing import Any, Callable, Iterator

_MALLINFO2_FIELDS = (
    "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
)  # fmt: skip


class _Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in _MALLINFO2_FIELDS]


def _load_mallinfo2() -> Any | None:
    try:
        function = ctypes.CDLL(None).mallinfo2
    except (OSError, AttributeError):
        return None
    function.restype = _Mallinfo2
    function.argtypes = []
    return function


_mallinfo2 = _load_mallinfo2()


def status_bytes(field: str) -> int | None:
    """A memory field of /proc/self/status, such as `RssAnon` or `VmData`; None if the kernel does not report it."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None


def heap_bytes() -> int | None:
    """Bytes in use in all arenas of malloc and in its own mappings (glibc >= 2.33); None elsewhere."""
    if _mallinfo2 is None:
        return None
    info = _mallinfo2()
    return int(info.uordblks) + int(info.hblkhd)


def memory_gauge() -> tuple[str | None, Callable[[], int | None]]:
    """The best gauge of this system: its name for the record (None if there is none) and a function that returns bytes.

    Repeated readings of `mallinfo2` agree within 1 KB, of `rss_anon` within 3 KB; the latter counts touched pages only.
    """
    if heap_bytes() is not None:
        return "mallinfo2", heap_bytes
    if status_bytes("RssAnon") is not None:
        return "rss_anon", lambda: status_bytes("RssAnon")
    return None, lambda: None


def _errno_location() -> Any | None:
    """The function of glibc and musl that returns the address of `errno`; None elsewhere."""
    try:
        function = ctypes.CDLL(None).__errno_location
    except (OSError, AttributeError):
        return None
    function.restype = ctypes.POINTER(ctypes.c_int)
    function.argtypes = []
    return function


_errno_of_thread = _errno_location()


@contextmanager
def exhaustion_named() -> Iterator[None]:
    """Turn an error raised inside into `MemoryError` when an allocation failed before it.

    Runtimes report a failed allocation like any other failure ("failed to prepare"), but malloc sets `errno` to ENOMEM.
    """
    if _errno_of_thread is None:
        yield
        return
    _errno_of_thread()[0] = 0
    try:
        yield
    except Exception as error:
        if _errno_of_thread()[0] == errno.ENOMEM:
            raise MemoryError(str(error)) from error
        raise
