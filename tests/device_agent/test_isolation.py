"""The forked child: real crashes, hangs and allocations, through the very function measurements go through."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from edgewright.device_agent.isolation import Outcome, Work, WorkFailed, run_isolated

LIMIT_MIB = 512.0


def isolated(work: Work, timeout_s: float = 30.0, memory_limit_mib: float = LIMIT_MIB) -> Outcome:
    return run_isolated(work, timeout_s, memory_limit_mib)


def error_of(work: Work, **limits: float) -> dict[str, str]:
    outcome = isolated(work, **limits)
    assert outcome.error is not None and outcome.header == {} and outcome.payload == b""
    return outcome.error


@pytest.fixture(autouse=True)
def no_child_is_left() -> Iterator[None]:
    before = children()
    yield
    assert children() == before


def children() -> set[str]:
    """Of this thread's process; other tests may have children of their own."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_result_comes_back_whole_and_the_child_is_another_process() -> None:
    payload = np.random.default_rng(0).bytes(5 << 20)
    outcome = isolated(lambda: ({"pid": os.getpid()}, payload))
    assert outcome.error is None and outcome.payload == payload
    assert outcome.header["pid"] != os.getpid()


def test_reading_address_zero_is_a_named_crash() -> None:
    error = error_of(lambda: ctypes.string_at(0))  # type: ignore[arg-type, return-value]
    assert error["kind"] == "crash" and "SIGSEGV" in error["message"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGILL])
def test_signals_are_named(number: signal.Signals) -> None:
    error = error_of(lambda: os.kill(os.getpid(), number))  # type: ignore[arg-type, func-returns-value, return-value]
    assert error["kind"] == "crash" and number.name in error["message"]


def test_silent_exit_is_a_crash_with_its_code_and_last_words() -> None:
    def quit_early() -> NoReturn:
        os.write(2, b"cannot go on")
        os._exit(7)

    error = error_of(quit_early)
    assert error["kind"] == "crash" and "code 7" in error["message"] and "cannot go on" in error["message"]


def test_an_error_nobody_expected_is_reported_with_its_trace() -> None:
    def broken() -> NoReturn:
        raise KeyError("no such thing")

    error = error_of(broken)
    assert error["kind"] == "crash" and "no such thing" in error["message"]


def test_hang_is_ended() -> None:
    started = time.monotonic()
    error = error_of(lambda: time.sleep(600), timeout_s=0.3)  # type: ignore[arg-type, func-returns-value, return-value]
    assert error["kind"] == "timeout" and "0.3 s" in error["message"]
    assert time.monotonic() - started < 60


def test_allocation_beyond_the_limit_is_out_of_memory() -> None:
    def allocate(mib: int) -> tuple[dict[str, Any], bytes]:
        return {"bytes": int(np.ones(mib << 20, np.uint8).sum())}, b""

    error = error_of(lambda: allocate(200), memory_limit_mib=100)
    assert error == {"kind": "out_of_memory", "message": "it needs more than the limit of 100 MiB"}
    assert isolated(lambda: allocate(50), memory_limit_mib=100).header == {"bytes": 50 << 20}


def test_native_code_that_aborts_over_memory_is_out_of_memory_too() -> None:
    def abort() -> NoReturn:
        os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'")
        os.abort()

    assert error_of(abort)["kind"] == "out_of_memory"


def test_named_failures_keep_their_kind() -> None:
    def refuse() -> NoReturn:
        raise WorkFailed("load_failed", "no model")

    assert error_of(refuse) == {"kind": "load_failed", "message": "no model"}


def test_prints_of_the_child_reach_neither_result_nor_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    def chatty() -> tuple[dict[str, Any], bytes]:
        os.write(1, b"x" * 200_000)
        os.write(2, b"y" * 200_000)
        return {"ok": 1}, b""

    assert isolated(chatty).header == {"ok": 1}
    assert capfd.readouterr() == ("", "")


def test_when_waiting_fails_the_child_is_ended() -> None:
    def fail(descriptors: object, timeout_s: float) -> list[int]:
        raise EOFError("the host is gone")

    with pytest.raises(EOFError):
        run_isolated(lambda: time.sleep(600), 600, LIMIT_MIB, fail)  # type: ignore[arg-type, func-returns-value, return-value]


def test_descriptors_do_not_pile_up() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        isolated(lambda: ({}, b""))
        isolated(lambda: os._exit(1))
    assert len(os.listdir("/proc/self/fd")) == before
