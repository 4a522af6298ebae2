"""The contract of transports catches broken transports, each fault by the test for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from edgewright.devices.local import LocalTransport
from edgewright.devices.transport import Completed
from edgewright.testing.transports import Remote, TransportContract


class DropsExitCodes(LocalTransport):
    def run(self, argv: Sequence[str], timeout_s: float) -> Completed:
        return replace(super().run(argv, timeout_s), returncode=0)


class MixesOutputs(LocalTransport):
    def run(self, argv: Sequence[str], timeout_s: float) -> Completed:
        done = super().run(argv, timeout_s)
        return Completed(done.returncode, done.stdout + done.stderr, b"")


class ForgetsModes(LocalTransport):
    def push(self, source: Path, target: str, mode: int = 0o600) -> None:
        super().push(source, target, 0o644)


class PushesHalf(LocalTransport):
    def push(self, source: Path, target: str, mode: int = 0o600) -> None:
        super().push(source, target, mode)
        os.truncate(target, Path(target).stat().st_size // 2)


@pytest.fixture
def remote_of(tmp_path: Path) -> Iterator[Callable[[type[LocalTransport]], Remote]]:
    opened: list[LocalTransport] = []

    def make(kind: type[LocalTransport]) -> Remote:
        (tmp_path / "device").mkdir(exist_ok=True)
        opened.append(kind(tmp_path))
        return Remote(True, opened[-1], str(tmp_path / "device"), lambda: kind(tmp_path))

    yield make
    for each in opened:
        each.close()


def test_a_lost_exit_code(remote_of: Callable[[type[LocalTransport]], Remote]) -> None:
    TransportContract().test_run_gives_the_exit_code(remote_of(LocalTransport), 3)
    with pytest.raises(AssertionError):
        TransportContract().test_run_gives_the_exit_code(remote_of(DropsExitCodes), 3)


def test_outputs_that_are_mixed(remote_of: Callable[[type[LocalTransport]], Remote]) -> None:
    with pytest.raises(AssertionError):
        TransportContract().test_run_keeps_the_outputs_apart_and_whole(remote_of(MixesOutputs))


def test_a_mode_that_is_forgotten(remote_of: Callable[[type[LocalTransport]], Remote], tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        TransportContract().test_a_pushed_file_is_private_by_default(remote_of(ForgetsModes), tmp_path)


def test_half_of_a_file(remote_of: Callable[[type[LocalTransport]], Remote], tmp_path: Path) -> None:
    TransportContract().test_files_go_there_and_back(remote_of(LocalTransport), tmp_path, 1000)
    with pytest.raises(AssertionError):
        TransportContract().test_files_go_there_and_back(remote_of(PushesHalf), tmp_path, 1000)
