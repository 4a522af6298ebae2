from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from edgewright.device_agent.isolation import run_isolated
from edgewright.device_agent.runtimes.base import Runtime
from edgewright.device_agent.runtimes.choice import Runtimes

_ALONE = "EDGEWRIGHT_TEST_IN_A_PROCESS_OF_ITS_OWN"


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Where an earlier test has started JAX's threads or CUDA in this process, run the test in a process of its own.

    These tests fork, as the agent does; the agent itself loads neither. A fork beside JAX's threads can hang, and CUDA
    does not survive one.
    """
    if os.environ.get(_ALONE) or ("jax" not in sys.modules and not cuda_was_started()):
        return None
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", pyfuncitem.nodeid]
    environment = {**os.environ, _ALONE: "1"}
    done = subprocess.run(
        command, cwd=pyfuncitem.config.rootpath, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(done.stdout, pytrace=False)
    return True


def cuda_was_started() -> bool:
    """Whether there is a GPU, and children of this process could not use it."""
    torch = sys.modules.get("torch")
    return torch is not None and has_gpu() and in_child(torch.cuda._is_in_bad_fork)


@cache
def has_gpu() -> bool:
    return in_child(sys.modules["torch"].cuda.is_available)


def in_child(ask: Callable[[], bool]) -> bool:
    """To ask torch for a GPU in this process would be enough to spoil it for its children."""
    return bool(run_isolated(lambda: ({"answer": ask()}, b""), 60, 1 << 20).header["answer"])


def load_conv_chain() -> Callable[..., bytes]:
    spec = importlib.util.spec_from_file_location("tiny_models", Path(__file__).with_name("tiny_models.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.conv_chain


@pytest.fixture(scope="session")
def small_model() -> bytes:
    """About 0.2 ms a run, 10 KB; takes (1, 32, 32, 16)."""
    return load_conv_chain()(size=32, channels=16, depth=4)


@pytest.fixture(scope="session")
def slow_model() -> bytes:
    """Some tens of ms a run."""
    return load_conv_chain()(size=128, channels=64, depth=8)


@pytest.fixture(scope="session")
def hungry_model() -> bytes:
    """A small file whose activations take hundreds of MiB."""
    return load_conv_chain()(size=1024, channels=64, depth=2, in_channels=1)


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    """The TFLite runtime of this machine."""
    found = Runtimes().tflite
    assert found is not None
    return found
