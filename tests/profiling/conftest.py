"""A small gate space, and a device that is simulated, because the real one cannot be made to fail on command."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from edgewright.device_agent.timing import TimingProtocol
from edgewright.devices.session.jobs import CampaignJob, CampaignReply
from edgewright.files import sha256_of
from edgewright.gates import GateSpace, Site
from edgewright.profiling.campaign import begin_campaign
from edgewright.profiling.models import TemplateModels
from edgewright.profiling.plan import Campaign, PlanOptions
from edgewright.profiling.store.store import Store
from edgewright.spaces.gates import SubnetSpace

SPACE = SubnetSpace(GateSpace((Site("stem", 16), Site("body", 24), Site("head", 32, block=2))))
TEMPLATE = b"the template's bytes"
MODELS = TemplateModels(TEMPLATE)
OPTIONS = PlanOptions(n_subnets=30, seed=3, sentinel_every=8)
PROTOCOL = TimingProtocol(n_runs=3)


class SimulatedSession:
    """Answers like an agent; `fault` is asked first and may raise, or return the error of this try (0, 1, ...)."""

    def __init__(self, fault: Callable[[int, bytes], dict[str, str] | None] = lambda n, gates: None) -> None:
        self._fault = fault
        self.jobs: list[bytes] = []
        self.spool: dict[tuple[int, int], CampaignReply] = {}
        self.reopened = 0

    def facts(self) -> dict[str, Any]:
        return {"machine": "simulated", "cpus": 1}

    def put_blob(self, data: bytes) -> str:
        return sha256_of(data)

    def measure_each(
        self,
        key: str,
        template_sha: str,
        jobs: Sequence[CampaignJob],
        protocol: TimingProtocol,
        stored: Sequence[tuple[int, int]],
    ) -> Iterator[CampaignReply]:
        self.drop_spooled(key, stored)
        for job in jobs:
            reply = self._measure(job.packed_gates)
            self.spool[job.position, job.attempt] = CampaignReply(job.position, job.attempt, 1.7e9, reply)
            yield self.spool[job.position, job.attempt]

    def spooled(self, key: str) -> Iterator[CampaignReply]:
        yield from list(self.spool.values())

    def drop_spooled(self, key: str, attempts: Sequence[tuple[int, int]]) -> None:
        for attempt in attempts:
            self.spool.pop(attempt, None)

    def reopen(self) -> None:
        self.reopened += 1

    def _measure(self, packed: bytes) -> dict[str, Any]:
        self.jobs.append(packed)
        shared = {"size_bytes": 1000, "emit_ms": 0.1, "health_before": {"load": 0.5}, "health_after": {"load": 0.6}}
        error = self._fault(len(self.jobs) - 1, packed)
        if error is not None:
            return {"error": error, **shared}
        n_open = float(sum(SPACE.decode(packed).counts))
        samples_ms = [n_open, n_open + 2, n_open + 1]
        return {"samples_ms": samples_ms, "memory_mib": n_open / 4, "memory_method": "simulated", "n_warmup": 1,
                "settled": True, "load_ms": 0.2, "child_ms": 0.0, **shared}  # fmt: skip


def new_campaign(store: Store, options: PlanOptions = OPTIONS) -> Campaign:
    return begin_campaign(
        store, device="board", space=SPACE, source=MODELS.digest, protocol=PROTOCOL, options=options
    )


@pytest.fixture
def space() -> SubnetSpace:
    return SPACE


@pytest.fixture
def models() -> TemplateModels:
    return MODELS


@pytest.fixture
def options() -> PlanOptions:
    return OPTIONS


@pytest.fixture
def simulated() -> type[SimulatedSession]:
    return SimulatedSession


@pytest.fixture
def begin() -> Callable[..., Campaign]:
    return new_campaign


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    return tmp_path / "workspace" / "store.sqlite"
