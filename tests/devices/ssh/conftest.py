"""The desk that somebody connects from, and a host to jump over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rigs.client import ClientHome
from tests.rigs.desk import Desk, at_a_desk
from tests.rigs.fixtures import require
from tests.rigs.sshd import SshdRig


@pytest.fixture
def desk(rig_client: ClientHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with at_a_desk(tmp_path / "home", rig_client.ssh_key, monkeypatch) as desk:
        yield desk


@pytest.fixture(scope="session")
def gate(rig_client: ClientHome) -> Iterator[SshdRig]:
    """A second host, to jump over."""
    with require(lambda: SshdRig(rig_client)) as rig:
        yield rig
