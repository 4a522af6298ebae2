"""Work over many images, spread over worker processes that are started afresh, never forked."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from ..errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")
OnProgress = Callable[[int, int], None]

CHUNK = 256
"""Images that a process gets at a time; a set of no more is worked on here, sooner than a process would start."""


def no_progress(done: int, total: int) -> None:
    """For those who do not want to know."""


def spread(
    work: Callable[[Sequence[Item]], Result], items: Sequence[Item], progress: OnProgress, here: bool = False
) -> Iterator[tuple[slice, Result]]:
    """`work` over all `items`, a chunk at a time, in any order; each result comes with the part of `items` it is of.

    With `here` all is done in this process. Raises `InputError` when a process was ended from outside.
    """
    parts = [slice(start, min(start + CHUNK, len(items))) for start in range(0, len(items), CHUNK)]
    done = 0
    results = _here(work, items, parts) if here or len(parts) < 2 else _in_processes(work, items, parts)
    for part, result in results:
        done += part.stop - part.start
        progress(done, len(items))
        yield part, result


def _here(
    work: Callable[[Sequence[Item]], Result], items: Sequence[Item], parts: Sequence[slice]
) -> Iterator[tuple[slice, Result]]:
    return ((part, work(items[part])) for part in parts)


def _in_processes(
    work: Callable[[Sequence[Item]], Result], items: Sequence[Item], parts: Sequence[slice]
) -> Iterator[tuple[slice, Result]]:
    from joblib import Parallel, cpu_count, delayed

    workers = min(cpu_count(), len(parts))
    pool = Parallel(workers, return_as="generator_unordered", max_nbytes=None)
    try:
        with _without_interrupts():
            results = pool(delayed(_one)(work, items[part], part) for part in parts)
        yield from results
    except BrokenProcessPool as error:
        raise InputError(
            "a process that read images was ended, perhaps for want of memory; run again, with less beside it"
        ) from error


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes that are started meanwhile ignore Ctrl-C, of which each would print a traceback; this one ends them.

    Masking it would not do: joblib unmasks it. Handlers can be set in the main thread only.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)


def _one(work: Callable[[Sequence[Item]], Result], items: Sequence[Item], part: slice) -> tuple[slice, Result]:
    return part, work(items)
