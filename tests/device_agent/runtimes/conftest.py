"""One network as an export and as a script, and the runtime that measures both."""

from __future__ import annotations

import pytest
import torch
from edgewright.device_agent.runtimes.base import Runtime
from edgewright.device_agent.runtimes.choice import Runtimes

from tests.device_agent.runtimes.torch_files import Small, exported, scripted


@pytest.fixture(scope="session")
def export() -> bytes:
    return exported(Small(), torch.zeros(1, 3, 8, 8))


@pytest.fixture(scope="session")
def traced() -> bytes:
    return scripted(torch.jit.trace(Small().eval(), torch.zeros(1, 3, 8, 8)))


@pytest.fixture(scope="session")
def runtime(export: bytes) -> Runtime:
    return Runtimes().for_model(export)
