"""Which program measures: the agent, or Google's benchmark_model if the user has a binary of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError

if TYPE_CHECKING:
    from ..workbench.options import BenchmarkModel

AGENT, BENCHMARK_MODEL = "agent", "benchmark-model"

BackendName = Annotated[
    str, typer.Option("--backend", help="agent, or benchmark-model: Google's tool, which you supply.")
]
Binary = Annotated[Path | None, typer.Option(help="With benchmark-model: Google's program, built for the device.")]
Delegate = Annotated[str, typer.Option(help="With benchmark-model: cpu, xnnpack, gpu or nnapi.")]


def measurer(name: str, binary: Path | None, delegate: str) -> BenchmarkModel | None:
    """None for the agent. Raises `InputError` for options that do not go together."""
    from ..workbench.options import DELEGATES, BenchmarkModel

    if name not in (AGENT, BENCHMARK_MODEL):
        raise InputError(f"a backend is one of {AGENT}, {BENCHMARK_MODEL}; got {name!r}")
    if delegate not in DELEGATES:
        raise InputError(f"a delegate is one of {', '.join(DELEGATES)}; got {delegate!r}")
    if name == AGENT and binary is not None:
        raise InputError("--binary applies to --backend benchmark-model only; the agent has its own runtime")
    if name == AGENT and delegate != "xnnpack":
        raise InputError(
            f"--delegate {delegate} applies to --backend benchmark-model only; the agent computes on the CPU (xnnpack)"
        )
    if name == AGENT:
        return None
    if binary is None or not binary.is_file():
        raise InputError(
            f"--backend benchmark-model needs --binary FILE, Google's benchmark_model for the device; got {binary}"
        )
    return BenchmarkModel(binary, delegate)
