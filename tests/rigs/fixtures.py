"""The rigs as fixtures: each is started at its first use and lives as long as the test session.

A rig that this machine cannot carry skips its tests with the reason; with `EDGEWRIGHT_REQUIRE_RIGS=1` it fails them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import pytest

from tests.rigs.client import ClientHome, RigUnavailable

if TYPE_CHECKING:
    from tests.rigs.board import BoardRig
    from tests.rigs.phone import AdbServer, PhoneRig
    from tests.rigs.sshd import SshdRig

Rig = TypeVar("Rig")


def require(make: Callable[[], Rig]) -> Rig:
    """What `make` makes; where it is not to be had, the test is skipped or, on CI, fails."""
    try:
        return make()
    except RigUnavailable as reason:
        if os.environ.get("EDGEWRIGHT_REQUIRE_RIGS") == "1":
            pytest.fail(f"this machine must carry every rig: {reason}", pytrace=False)
        pytest.skip(str(reason))


@contextmanager
def running(make: Callable[[], Rig]) -> Iterator[Rig]:
    """A rig from `make`, stopped at the end."""
    rig = require(make)
    try:
        yield rig
    finally:
        rig.stop()  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def rig_client() -> Iterator[ClientHome]:
    """The private home that the host side of all rigs shares."""
    with require(ClientHome) as client:
        yield client


@pytest.fixture
def rig_env(rig_client: ClientHome, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """This process lives in the rigs' home for one test."""
    for name, value in rig_client.env.items():
        monkeypatch.setenv(name, value)
    for name in ("SSH_AUTH_SOCK", "ADB_VENDOR_KEYS", "ANDROID_SERIAL"):
        monkeypatch.delenv(name, raising=False)
    return rig_client.env


@pytest.fixture(scope="session")
def ssh_rig(rig_client: ClientHome) -> Iterator[SshdRig]:
    """A real sshd on 127.0.0.1 for a user who is not root."""
    from tests.rigs.sshd import SshdRig

    with running(lambda: SshdRig(rig_client)) as rig:
        yield rig


@pytest.fixture(scope="session")
def adb_server(rig_client: ClientHome) -> Iterator[AdbServer]:
    """The session's own ADB server, and the cables of its phones."""
    from tests.rigs.phone import AdbServer

    with running(lambda: AdbServer(rig_client)) as server:
        yield server


@pytest.fixture(scope="session")
def phone_rig(adb_server: AdbServer) -> Iterator[PhoneRig]:
    """A phone that trusts every desktop."""
    from tests.rigs.phone import PhoneRig

    with running(lambda: PhoneRig(adb_server, "EMU0001")) as rig:
        yield rig


@pytest.fixture(scope="session")
def locked_phone_rig(adb_server: AdbServer) -> Iterator[PhoneRig]:
    """A phone that demands authorisation; unplugged until a test plugs it in."""
    from tests.rigs.phone import PhoneRig

    with running(lambda: PhoneRig(adb_server, "EMU0002", locked=True, plugged=False)) as rig:
        yield rig


@pytest.fixture(scope="session")
def board_rig(rig_client: ClientHome) -> Iterator[BoardRig]:
    """An arm64 board with Python, reached over SSH."""
    from tests.rigs.board import BoardRig

    with running(lambda: BoardRig(rig_client)) as rig:
        yield rig
