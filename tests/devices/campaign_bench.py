"""For tests of broken links: a device, a store, a campaign of 60 subnets, and what must hold in the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from edgewright.device_agent.timing import TimingProtocol
from edgewright.devices import AgentSession, Device, SessionLimits, connect, open_session
from edgewright.devices.deployment.deploy import deploy
from edgewright.errors import DeviceError
from edgewright.files import sha256_of
from edgewright.profiling.campaign import begin_campaign, run_campaign
from edgewright.profiling.models import TemplateModels
from edgewright.profiling.plan import Campaign, PlanOptions, make_plan
from edgewright.profiling.progress import CampaignSummary, Progress
from edgewright.profiling.store.store import Store

N_SUBNETS = 60
IMPATIENT = SessionLimits(silence_s=3.0, heartbeat_s=0.5, reply_s=20.0)
Fault = Callable[[], object]


@dataclass
class Bench:
    """A device that has the agent, and a store."""

    device: Device
    workspace: Path
    trained: Any
    template: bytes
    limits: SessionLimits = IMPATIENT
    timeout_s: float = 5.0

    def deploy(self) -> str:
        """Returns: the agent's folder on the device."""
        transport = connect(self.device, self.workspace)
        try:
            deploy(transport, self.device.name, self.workspace / "bundles")
            return str(transport.agent_dir)
        finally:
            transport.close()

    def store(self) -> Store:
        return Store.open(self.workspace / "store.sqlite")

    def session(self) -> AgentSession:
        return open_session(self.device, self.workspace, self.limits)

    def begin(self, store: Store) -> Campaign:
        quick = TimingProtocol(
            n_warmup_min=1, warmup_max_ms=5.0, n_runs=5, min_time_ms=1.0, timeout_s=self.timeout_s
        )
        return begin_campaign(
            store,
            device=self.device.name,
            space=self.trained.supernet.subnets,
            source=sha256_of(self.template),
            protocol=quick,
            options=PlanOptions(N_SUBNETS, sentinel_every=30),
        )

    def run(
        self, store: Store, campaign: Campaign, fault: Fault | None = None, at: int = 20, **options: Any
    ) -> CampaignSummary:
        """Run the campaign; `fault` strikes once, when `at` records are stored."""
        struck: list[int] = []

        def strike(progress: Progress) -> None:
            if fault is not None and not struck and progress.done >= at:
                struck.append(progress.done)
                fault()

        with self.session() as session:
            return run_campaign(
                session, store, campaign, self.trained.supernet.subnets, TemplateModels(self.template), strike,
                rounds_again=0, **options,
            )  # fmt: skip

    def break_off(self, store: Store, campaign: Campaign, fault: Fault, at: int = 20) -> None:
        """The fault ends the run within seconds, with a sentence that says how to go on."""
        struck_at: list[float] = []

        def strike() -> None:
            struck_at.append(time.monotonic())
            fault()

        with pytest.raises(DeviceError, match=r"of \d+ records are stored; start again with `resume` to go on"):
            self.run(store, campaign, strike, at)
        assert struck_at and time.monotonic() - struck_at[0] < 60
        assert len(store.positions(campaign)) >= at

    def check_whole(self, store: Store, campaign: Campaign) -> None:
        """Every position once, the gates of the plan, samples that are numbers: nothing lost, doubled or mangled."""
        plan = make_plan(self.trained.supernet.subnets, campaign.options)
        records = store.records(campaign)
        assert [record.position for record in records] == list(range(len(plan)))
        assert [record.architecture.digest for record in records] == [item.architecture.digest for item in plan]
        assert all(record.error is None and len(record.measurement.samples_ms or ()) >= 5 for record in records)
        assert len({record.architecture.digest for record in records if record.kind == "subnet"}) == N_SUBNETS


def wait_for(condition: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
