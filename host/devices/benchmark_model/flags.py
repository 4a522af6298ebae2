"""The flags of Google's benchmark_model for a delegate, a timing protocol and a call."""

from __future__ import annotations

import re

from edgewright.device_agent.runtimes.base import Call, shape_text
from edgewright.device_agent.timing import TimingProtocol

from ...errors import InputError
from .entries import Entry

DELEGATES = ("cpu", "xnnpack", "gpu", "nnapi")
_FLAGS = {
    "cpu": ("--use_xnnpack=false",),
    "xnnpack": ("--use_xnnpack=true",),
    "gpu": ("--use_gpu=true",),
    "nnapi": ("--use_nnapi=true", "--disable_nnapi_cpu=true"),
}
PROFILED = ("--enable_op_profiling=true",)


def arguments(model: str, delegate: str, protocol: TimingProtocol, more: tuple[str, ...] = ()) -> list[str]:
    """The tool's flags for a protocol; its warm-up lasts as long as the protocol allows, since it cannot see it settle.

    No `--report_peak_memory_footprint`: its sampling thread disturbs the timing, and the footprint printed anyway is
    that of the peak RSS already.
    """
    return [
        f"--graph={model}",
        f"--num_threads={protocol.threads}",
        f"--warmup_runs={protocol.n_warmup_min}",
        f"--warmup_min_secs={protocol.warmup_max_ms / 1e3:g}",
        f"--num_runs={protocol.n_runs}",
        f"--min_secs={protocol.min_time_ms / 1e3:g}",
        f"--max_secs={protocol.max_time_ms / 1e3:g}",
        *_FLAGS[delegate],
        *more,
    ]


def call_flags(call: Call, entry: Entry) -> tuple[str, ...]:
    """The signature, and the shapes of all inputs, which the tool wants together."""
    flags = [] if call.signature is None else [f"--signature_to_run_for={call.signature}"]
    if call.shapes:
        shapes = entry.shapes(call)
        named = entry.tensors if call.signature is None else tuple(spec.name for spec in entry.inputs)
        flags.append(f"--input_layer={','.join(named)}")
        flags.append(f"--input_layer_shape={':'.join(shape_text(shapes[spec.name]) for spec in entry.inputs)}")
    return tuple(flags)


def check_understood(said: str, flags: tuple[str, ...]) -> None:
    """The tool warns of flags that it does not know, and goes on without them. Raises `InputError`."""
    ignored = " ".join(re.findall(r"Unconsumed cmdline flags:(.*)", said))
    unknown = [name for name in (flag.partition("=")[0] for flag in flags) if name in ignored]
    if unknown:
        names = ", ".join(name.lstrip("-") for name in unknown)
        raise InputError(f"this benchmark_model does not know {names}; supply a newer one")
