"""Records of an invented device whose costs are known exactly, so that recovery can be checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from edgewright.architecture import EncodedArchitecture
from edgewright.device_agent.timing import TimingProtocol
from edgewright.gates import GateSpace, Layer, Site
from edgewright.profiling.plan import PlanOptions, make_plan
from edgewright.profiling.records import Failure, Measurement, Record
from edgewright.spaces.gates import SubnetSpace

GATES = GateSpace((Site("a", 16), Site("b", 32), Site("c", 24), Site("d", 64)))
# A chain a -> b -> c -> d, with full width at both ends; b -> c twice, as two branches have it.
LAYERS = (
    Layer("stem", None, "a", 3, 16, 1000),
    Layer("ab", "a", "b", 16, 32, 4000),
    Layer("bc1", "b", "c", 32, 24, 3000),
    Layer("bc2", "b", "c", 32, 24, 500),
    Layer("cd", "c", "d", 24, 64, 2000),
    Layer("head", "d", None, 64, 10, 640),
)
SPACE = SubnetSpace(GATES, LAYERS)


@dataclass(frozen=True)
class InventedDevice:
    """Static part, cost of each site and of each joined pair at full width; noise as a share of the value."""

    static: float = 0.2
    sites: tuple[float, ...] = (0.3, 0.0, 0.1, 0.4)
    pairs: tuple[float, ...] = (1.0, 0.7, 0.5)  # a x b, b x c, c x d

    def cost(self, counts: np.ndarray) -> np.ndarray:
        share = counts / np.array([site.width for site in GATES.sites])
        products = share[:, :-1] * share[:, 1:]
        return self.static + share @ np.array(self.sites) + products @ np.array(self.pairs)

    def records(self, n_subnets: int, noise: float = 0.0, seed: int = 0, with_memory: bool = True) -> list[Record]:
        """A campaign's records: latency by `cost`, memory twice that without noise."""
        rng = np.random.default_rng(seed)
        records = []
        for item in make_plan(SPACE, PlanOptions(n_subnets, seed=seed)):
            true = float(self.cost(np.array([item.architecture.counts]))[0])
            measurement = Measurement(
                samples_ms=(true * float(1 + noise * rng.standard_normal()),),
                memory_mib=2 * true if with_memory else None,
            )
            records.append(
                Record(
                    position=item.position,
                    kind=item.kind,
                    architecture=EncodedArchitecture.of(item.architecture),
                    device="invented",
                    protocol=TimingProtocol(),
                    facts_digest="f",
                    started_at="2024-01-01T00:00:00",
                    measurement=measurement,
                )
            )
        return records


@pytest.fixture
def space() -> SubnetSpace:
    return SPACE


@pytest.fixture
def invented() -> InventedDevice:
    return InventedDevice()


@pytest.fixture
def failure() -> Measurement:
    return Measurement(error=Failure("crash", "SIGSEGV"))
