"""What every way to a device must do alike: this machine, a board over SSH, an arm64 board, and a phone over ADB."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from edgewright.devices.connect import connect
from edgewright.devices.registry import Device
from edgewright.devices.transport import Transport
from edgewright.testing.transports import TransportContract

from tests.marks import sweep


class TestThisMachine(TransportContract):
    starts_here = True

    @pytest.fixture
    def open_transport(self, tmp_path: Path) -> Callable[[], Transport]:
        return lambda: connect(Device("the-device", "local:"), tmp_path / "workspace")


class TestFarDevices(TransportContract):
    @pytest.fixture(params=["ssh_rig", sweep("board_rig"), "phone_rig"])
    def open_transport(self, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Transport]:
        uri = request.getfixturevalue(request.param).uri
        request.getfixturevalue("rig_env")
        return lambda: connect(Device("the-device", uri), tmp_path / "workspace")
