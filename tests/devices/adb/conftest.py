"""A real phone, and an adb server that is pretended."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from edgewright.devices.adb.transport import AdbTransport, connect_adb
from edgewright.devices.registry import parse_uri

from tests.devices.adb.pretend_server import PretendServer

if TYPE_CHECKING:
    from tests.rigs.phone import PhoneRig


@pytest.fixture
def phone(phone_rig: PhoneRig, rig_env: dict[str, str]) -> Iterator[AdbTransport]:
    transport = connect_adb(parse_uri(phone_rig.uri), "pixel")
    yield transport
    transport.close()
    assert not any(thread.name == "edgewright-adb" for thread in threading.enumerate())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendServer]:
    pretend = PretendServer()
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(pretend.port))
    yield pretend
    pretend.close()
