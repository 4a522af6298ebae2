"""Runs work in a forked child, so that a crash, a hang or exhausted memory ends the child and not the agent.

The agent itself stays single-threaded, holds no interpreter and never starts CUDA, which keeps `fork` safe and fast.
It is started as a program, never forked; nothing else in Edgewright forks.
"""

from __future__ import annotations

import ctypes
import gc
import io
import os
import resource
import select
import signal
import time
import traceback
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, NoReturn, Sequence, Tuple

from .frames import MAX_HEADER_BYTES, MAX_PAYLOAD_BYTES, FrameError, LinkClosed, encode_frame, read_frame
from .memory import status_bytes

# The possible values of `error.kind` of a failed measurement.
ERROR_KINDS = ("crash", "timeout", "out_of_memory", "load_failed", "run_failed", "bad_affinity", "bad_call")
_PR_SET_PDEATHSIG = 1
_TAIL_BYTES = 2000
_MAX_RESULT_BYTES = MAX_HEADER_BYTES + MAX_PAYLOAD_BYTES + 64
_ALLOCATION_FAILED = ("bad_alloc", "cannot allocate", "failed to allocate", "out of memory")
_libc = ctypes.CDLL(None, use_errno=True)

Work = Callable[[], Tuple[Dict[str, Any], bytes]]
# Waits until a descriptor is readable or the time in seconds is over; returns the readable ones.
Wait = Callable[[Sequence[int], float], List[int]]


class WorkFailed(Exception):
    """Raised by work inside the child: `kind` is one of `ERROR_KINDS`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Outcome:
    """The result of the work: either `error` is None, or it is {"kind", "message"} and the rest is empty."""

    header: dict[str, Any]
    payload: bytes
    error: dict[str, str] | None
    fork_ms: float


def plain_wait(descriptors: Sequence[int], timeout_s: float) -> list[int]:
    return select.select(descriptors, [], [], timeout_s)[0]


def run_isolated(work: Work, timeout_s: float, memory_limit_mib: float, wait: Wait = plain_wait) -> Outcome:
    """Run `work` in a forked child and return what it returns.

    The child is killed after `timeout_s`, when the agent dies, and when `wait` raises. It may allocate
    `memory_limit_mib` more than the agent holds at this moment.
    """
    result_fd, child_result_fd = os.pipe()
    stderr_fd, child_stderr_fd = os.pipe()
    agent_pid = os.getpid()
    start = time.perf_counter()
    try:
        pid = os.fork()
    except OSError:
        for descriptor in (result_fd, child_result_fd, stderr_fd, child_stderr_fd):
            os.close(descriptor)
        raise
    if pid == 0:
        _child(work, agent_pid, child_result_fd, child_stderr_fd, memory_limit_mib)
    fork_ms = (time.perf_counter() - start) * 1e3
    os.close(child_result_fd)
    os.close(child_stderr_fd)
    try:
        collector = _Collector(result_fd, stderr_fd, wait)
        finished = collector.collect(time.monotonic() + timeout_s)
    except BaseException:  # no child outlives the request it was made for
        _kill(pid)
        raise
    finally:
        os.close(result_fd)
        os.close(stderr_fd)
    status = os.waitpid(pid, 0)[1] if finished else _kill(pid)
    if not finished:
        error = {"kind": "timeout", "message": f"the child did not finish within {timeout_s:g} s and was killed"}
        return Outcome({}, b"", error, fork_ms)
    return _outcome(bytes(collector.result), collector.stderr_tail(), status, fork_ms, memory_limit_mib)


class _Collector:
    """Reads a child's result and stderr, both bounded, until the result ends."""

    def __init__(self, result_fd: int, stderr_fd: int, wait: Wait) -> None:
        self.result = bytearray()
        self._stderr = bytearray()
        self._result_fd = result_fd
        self._open = [result_fd, stderr_fd]
        self._wait = wait

    def collect(self, deadline: float) -> bool:
        """Returns: whether the child finished before `deadline` (monotonic seconds)."""
        while self._result_fd in self._open:
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0:
                return False
            for descriptor in self._wait(self._open, remaining_s):
                self._take(descriptor)
        return True

    def stderr_tail(self) -> str:
        return self._stderr.decode(errors="replace").strip()

    def _take(self, descriptor: int) -> None:
        data = os.read(descriptor, 1 << 18)
        if not data:
            self._open.remove(descriptor)
        elif descriptor == self._result_fd:
            self.result += data[: _MAX_RESULT_BYTES - len(self.result)]
        else:
            self._stderr = (self._stderr + data)[-_TAIL_BYTES:]


def _kill(pid: int) -> int:
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def _outcome(result: bytes, stderr_tail: str, status: int, fork_ms: float, memory_limit_mib: float) -> Outcome:
    try:
        frame = read_frame(io.BytesIO(result))
    except (FrameError, LinkClosed):
        return Outcome({}, b"", _death(status, stderr_tail, memory_limit_mib), fork_ms)
    error = frame.header.get("error")
    if error is not None:
        return Outcome({}, b"", error, fork_ms)
    return Outcome(frame.header, frame.payload, None, fork_ms)


def _death(status: int, stderr_tail: str, memory_limit_mib: float) -> dict[str, str]:
    """Why a child died without a result. Native code out of memory may abort and say so only on stderr."""
    said = f"; it said: {stderr_tail[-500:]}" if stderr_tail else ""
    if any(phrase in stderr_tail.lower() for phrase in _ALLOCATION_FAILED):
        return {"kind": "out_of_memory", "message": f"it needs more than the limit of {memory_limit_mib:g} MiB{said}"}
    if not os.WIFSIGNALED(status):
        return {"kind": "crash", "message": f"the child exited with code {os.WEXITSTATUS(status)} and no result{said}"}
    name = signal.Signals(os.WTERMSIG(status)).name
    hint = " (sent by another process, such as the system's out-of-memory killer)" if name == "SIGKILL" else ""
    return {"kind": "crash", "message": f"the child was killed by {name}{hint}{said}"}


def _child(work: Work, agent_pid: int, result_fd: int, stderr_fd: int, memory_limit_mib: float) -> NoReturn:
    """The child's whole life. It never returns into the agent's code and runs none of its exit handlers."""
    exit_code = 1
    try:
        result_fd = _enter_child(agent_pid, result_fd, stderr_fd)
        frame = _guarded(work, memory_limit_mib)
        while frame:
            frame = frame[os.write(result_fd, frame) :]
        exit_code = 0
    except BaseException:
        # Nothing may escape from here: the child would carry on as a second agent.
        os.write(2, traceback.format_exc().encode()[-_TAIL_BYTES:])
    finally:
        os._exit(exit_code)


def _enter_child(agent_pid: int, result_fd: int, stderr_fd: int) -> int:
    """Drop the agent's descriptors, die with the agent, write no core file. Returns the result descriptor."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != agent_pid:  # the agent died before the line above
        os._exit(1)
    gc.disable()
    null_fd = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null_fd, 0), (stderr_fd, 1), (stderr_fd, 2), (result_fd, 3)):
        os.dup2(source, target)
    os.closerange(4, 256)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return 3


def _guarded(work: Work, memory_limit_mib: float) -> memoryview:
    """The frame with the result of `work` or with its failure."""
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    held = status_bytes("VmData")
    if held is not None:
        wanted = held + int(memory_limit_mib * (1 << 20))
        soft = wanted if limits[1] == resource.RLIM_INFINITY else min(wanted, limits[1])
        resource.setrlimit(resource.RLIMIT_DATA, (soft, limits[1]))
    try:
        header, payload = work()
        return memoryview(encode_frame(header, payload))
    except MemoryError:
        kind, message = "out_of_memory", f"it needs more than the limit of {memory_limit_mib:g} MiB"
    except WorkFailed as failure:
        kind, message = failure.kind, str(failure)
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)  # room to report in
    return memoryview(encode_frame({"error": {"kind": kind, "message": message}}))
