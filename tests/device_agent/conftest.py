from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Where an earlier test has started JAX's threads in this process, run the test in a process of its own.

    These tests fork, as the agent does; the agent itself never loads JAX, and a fork beside its threads can hang.
    """
    if "jax" not in sys.modules:
        return None
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", pyfuncitem.nodeid]
    done = subprocess.run(command, cwd=pyfuncitem.config.rootpath, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(done.stdout, pytrace=False)
    return True


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
