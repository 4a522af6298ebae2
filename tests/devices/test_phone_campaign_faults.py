"""One campaign on a phone behind a real adbd, struck again and again: in the end it holds 60 intact records.

The phone is emulated, which is slow: all that can happen to it happens to one campaign.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from edgewright.devices import Device, Registry, SessionLimits, connect
from edgewright.errors import DeviceError

from tests.devices.campaign_bench import Bench, wait_for
from tests.rigs.fault_proxy import Direction, FaultProxy


@pytest.mark.sweep
@pytest.mark.timeout(1200)
def test_a_phones_campaign_survives_them_all(
    phone_rig: Any, adb_server: Any, rig_env: dict[str, str], tmp_path: Path, trained: Any, template: Any
) -> None:
    cable = Registry(tmp_path).add("phone", phone_rig.uri)
    patient = SessionLimits(silence_s=10.0, heartbeat_s=1.0, reply_s=60.0, start_s=60.0)
    bench = Bench(cable, tmp_path, trained, template.to_bytes(), patient, timeout_s=60.0)
    bench.deploy()
    with FaultProxy("127.0.0.1", phone_rig.port) as proxy, bench.store() as store:
        network = replace(cable, uri=f"adb://127.0.0.1:{proxy.port}")
        # Where it is reached, what happens to it, and what mends it.
        faults: list[tuple[Device, Callable[[], object], Callable[[], object]]] = [
            (cable, phone_rig.restart, _nothing),
            (cable, phone_rig.kill_adbd, _nothing),
            (cable, adb_server.restart, _nothing),
            (cable, lambda: _all(phone_rig.kill_shells(signal.SIGKILL)), _nothing),
            (cable, lambda: _all(phone_rig.kill_shells(signal.SIGSTOP)), lambda: phone_rig.kill_shells()),
            (cable, lambda: _all([os.kill(pid, signal.SIGKILL) for pid in _agents(phone_rig)]), _nothing),
            (network, proxy.reset, _nothing),
            (network, lambda: proxy.cut_after(3000, Direction.DOWN), proxy.heal),
            (network, proxy.blackhole, proxy.heal),
        ]
        campaign = bench.begin(store)
        for number, (device, fault, mend) in enumerate(faults):
            bench.device = device
            bench.break_off(store, campaign, fault, at=7 * number + 4)
            mend()
            wait_for(lambda: _reached(bench), "the phone to be reached again", 60)
        summary = bench.run(store, campaign)
        bench.check_whole(store, campaign)
        assert summary.n_failed == 0 and summary.n_measured <= summary.total - 60, "nothing was measured twice"


def _nothing() -> None:
    """The device comes back by itself."""


def _all(struck: list[Any]) -> None:
    assert struck, "nothing was there to be struck"


def _agents(rig: Any) -> list[int]:
    return [found.pid for found in rig.processes() if any("/agent-" in word for word in found.argv)]


def _reached(bench: Bench) -> bool:
    try:
        connect(bench.device, bench.workspace).close()
    except DeviceError:
        return False
    return True
