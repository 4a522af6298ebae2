"""Measures a model, or computes its outputs, each time in a forked child of its own."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import Any, Iterator, Sequence

import numpy as np
import numpy.random  # or numpy loads it in the child, where it counts as the model's memory and time

from .facts import health, health_marks
from .frames import MAX_PAYLOAD_BYTES
from .isolation import Outcome, Wait, WorkFailed, plain_wait, run_isolated
from .memory import exhaustion_named, memory_gauge
from .runtimes.base import (
    AS_IT_IS,
    Call,
    CallRefused,
    LoadedModel,
    ModelLoadError,
    NoProfile,
    Runtime,
    TensorSpec,
    shape_text,
)
from .timing import Timing, TimingProtocol, time_runs

_MIB = float(1 << 20)
_PROFILED_RUNS, _PROFILED_MS = 20, 1000.0


def measure(
    model: Any,
    runtime: Runtime,
    protocol: TimingProtocol,
    wait: Wait = plain_wait,
    call: Call = AS_IT_IS,
    per_op: bool = False,
) -> dict[str, Any]:
    """Measure the latency and memory of one model.

    `model` is bytes or an array of uint8; `call` selects the signature and the input shapes. Never raises for what
    the model does: a failure is a value.

    Returns: `size_bytes`, `health_before`, `health_after`, `fork_ms` and either `error` {"kind", "message"}, whose
        kind is one of `isolation.ERROR_KINDS`, or:
        `samples_ms` in run order, `median_ms`, `mad_ms`, `p90_ms`, `n_warmup`, `settled` (whether warm-up settled),
        `ci_low_ms` and `ci_high_ms` (the median's 95 % interval), `marks` (words for what disturbed it, from
        `Timing.marks` and `facts.health_marks`) and `steady` (whether there are none);
        `signature` that was run and all `signatures`; `shapes` of its inputs by name; `any_size`, the declared shapes
        of inputs with dimensions of any size (-1);
        `timing_method` names the clock; `device` is "cpu" or "cuda"; `load_ms`, the time to load the model;
        `memory_mib` = growth of heap and anonymous memory from before loading to after the runs, plus the model file
        if the runtime keeps using it, plus the peak on the GPU if there is one; None if the system has no gauge;
        `memory_method` names the gauges;
        `child_ms` from the start of loading to the end of the last run.
        With `per_op`: `per_op` as returned by `LoadedModel.per_op`, from separate runs after the timed ones; None if
        the runtime has no profile, with the reason in `per_op_missing`.
    """
    before = health()
    outcome = run_isolated(
        lambda: (_measure_here(bytes(model), runtime, protocol, call, per_op), b""),
        protocol.timeout_s,
        protocol.memory_limit_mib,
        wait,
    )
    shared: dict[str, Any] = {
        "size_bytes": len(model),
        "health_before": before,
        "health_after": health(),
        "fork_ms": outcome.fork_ms,
    }
    if outcome.error is not None:
        return {"error": outcome.error, **shared}
    marks = outcome.header["marks"] + health_marks(before, shared["health_after"], outcome.header["child_ms"])
    return {**outcome.header, **shared, "marks": marks, "steady": not marks}


def run_batch(
    model: Any, runtime: Runtime, inputs: Sequence[np.ndarray], protocol: TimingProtocol, wait: Wait = plain_wait
) -> Outcome:
    """Compute the model's outputs for batches of `inputs`, in a child with the limits of `protocol`.

    Args:
        inputs: one array per input of the model, holding whole batches: for a model that takes (2, 3) and (4,), `n`
            batches are (2 n, 3) and (4 n,).

    Returns: an outcome. Its header has `outputs`, a list of {"shape", "dtype"} for as many batches, and its payload
        holds these arrays in C order, one after the other. If the work failed, it has an error instead.
    """
    return run_isolated(
        lambda: _run_here(bytes(model), runtime, inputs, protocol), protocol.timeout_s, protocol.memory_limit_mib, wait
    )


def _measure_here(
    model: bytes, runtime: Runtime, protocol: TimingProtocol, call: Call = AS_IT_IS, per_op: bool = False
) -> dict[str, Any]:
    _pin(protocol.affinity)
    method, gauge = memory_gauge()
    grown_from = gauge()
    start_ns = time.perf_counter_ns()
    loaded = _load(model, runtime, protocol.threads, call)
    load_ms = (time.perf_counter_ns() - start_ns) / 1e6
    with _run_failures_named(call):
        _fill_inputs(loaded)
        accelerator = loaded.accelerator
        timing = time_runs(loaded.invoke, protocol, stopwatch=None if accelerator is None else accelerator.run_ms)
    child_ms = (time.perf_counter_ns() - start_ns) / 1e6
    memory = _memory(grown_from, gauge(), method, loaded, len(model))
    return {
        **timing.to_json(),
        **_called(loaded),
        "marks": timing.marks(protocol.ci_share),
        "timing_method": "perf_counter" if accelerator is None else accelerator.clock_name,
        "device": loaded.device,
        "load_ms": load_ms,
        **memory,
        "child_ms": child_ms,
        **(_operators(loaded, timing) if per_op else {}),
    }


def _called(loaded: LoadedModel) -> dict[str, Any]:
    """Which signature ran, and on which shapes."""
    return {
        "signature": loaded.signature,
        "signatures": list(loaded.signatures),
        "shapes": {spec.name: list(spec.shape) for spec in loaded.inputs},
        "any_size": {spec.name: list(spec.takes) for spec in loaded.inputs if spec.takes is not None},
    }


def _operators(loaded: LoadedModel, timing: Timing) -> dict[str, Any]:
    """Costs of single operators. Runs last, since a profiler slows down what it watches."""
    n_runs = max(1, min(_PROFILED_RUNS, int(_PROFILED_MS / max(*timing.samples_ms, 1e-3))))
    try:
        return {"per_op": loaded.per_op(n_runs)}
    except NoProfile as error:
        return {"per_op": None, "per_op_missing": str(error)}


def _memory(
    before: int | None, after: int | None, method: str | None, loaded: LoadedModel, model_bytes: int
) -> dict[str, Any]:
    if before is None or after is None:
        return {"memory_mib": None, "memory_method": None}
    taken = after - before + (model_bytes if loaded.keeps_content else 0)
    if loaded.accelerator is not None:
        taken += loaded.accelerator.peak_bytes()
        method = f"{method}+{loaded.accelerator.memory_name}"
    if taken <= 0:  # the heap shrank: the gauge says nothing about the model
        return {"memory_mib": None, "memory_method": None}
    return {"memory_mib": taken / _MIB, "memory_method": method}


def _pin(affinity: tuple[int, ...] | None) -> None:
    if affinity is None:
        return
    try:
        os.sched_setaffinity(0, affinity)
    except OSError as error:
        available = sorted(os.sched_getaffinity(0))
        raise WorkFailed(
            "bad_affinity", f"cannot pin to CPUs {list(affinity)} ({error}); this process may use {available}"
        ) from error


def _load(model: bytes, runtime: Runtime, threads: int, call: Call = AS_IT_IS) -> LoadedModel:
    try:
        with exhaustion_named():
            return runtime.load(model, threads) if call == AS_IT_IS else runtime.load(model, threads, call)
    except CallRefused as error:
        raise WorkFailed("bad_call", str(error)) from error
    except ModelLoadError as error:
        raise WorkFailed("load_failed", str(error)) from error


@contextmanager
def _run_failures_named(call: Call = AS_IT_IS) -> Iterator[None]:
    try:
        with exhaustion_named():
            yield
    except (MemoryError, WorkFailed):
        raise
    except Exception as error:  # runtimes raise all kinds of errors
        if call.shapes:
            asked = "; ".join(f"{name}: {shape_text(shape)}" for name, shape in call.shapes.items())
            raise WorkFailed("bad_call", f"the model does not run on {asked}: {error}") from error
        raise WorkFailed("run_failed", f"the model was loaded but does not run: {error}") from error


def _fill_inputs(model: LoadedModel) -> None:
    """Set inputs that depend on the shapes only: random floats in [0, 1), random 8-bit integers, zeros as indices."""
    rng = np.random.default_rng(0)
    for position, spec in enumerate(model.inputs):
        model.set_input(position, _example(spec, rng))


def _example(spec: TensorSpec, rng: np.random.Generator) -> np.ndarray:
    if spec.dtype.kind == "f":
        return rng.random(spec.shape, dtype=np.float32).astype(spec.dtype)
    if spec.dtype in (np.dtype(np.int8), np.dtype(np.uint8)):
        limits = np.iinfo(spec.dtype)
        return rng.integers(limits.min, limits.max, spec.shape, dtype=spec.dtype, endpoint=True)
    return np.zeros(spec.shape, spec.dtype)


def _run_here(
    model: bytes, runtime: Runtime, inputs: Sequence[np.ndarray], protocol: TimingProtocol
) -> tuple[dict[str, Any], bytes]:
    loaded = _load(model, runtime, protocol.threads)
    with _run_failures_named():
        n_outputs = len(loaded.outputs)  # some runtimes know their outputs only after a first run
        if not n_outputs:
            raise WorkFailed("run_failed", "the model has no output")
        runs = [_run_once(loaded, batch, n_outputs) for batch in _batches(loaded.inputs, inputs)]
    outputs = [np.concatenate([run[position] for run in runs]) for position in range(n_outputs)]
    total = sum(output.nbytes for output in outputs)
    if total > MAX_PAYLOAD_BYTES:
        raise WorkFailed(
            "run_failed", f"outputs of {total} bytes exceed {MAX_PAYLOAD_BYTES}; send fewer inputs at once"
        )
    header = {"outputs": [{"shape": list(output.shape), "dtype": output.dtype.name} for output in outputs]}
    return header, b"".join(output.tobytes() for output in outputs)


def _batches(specs: Sequence[TensorSpec], inputs: Sequence[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """Split the inputs into batches as the model takes them. Raises `WorkFailed` when they are not whole batches."""
    if len(inputs) != len(specs):
        raise WorkFailed("run_failed", f"the model takes {len(specs)} inputs, got {len(inputs)}")
    sizes = [spec.shape[0] if spec.shape else 1 for spec in specs]
    for size, value in zip(sizes, inputs):
        if value.ndim < 1 or len(value) == 0 or len(value) % size:
            raise WorkFailed("run_failed", f"the model takes batches of {size}, got inputs of shape {value.shape}")
    counts = {len(value) // size for size, value in zip(sizes, inputs)}
    if len(counts) > 1:
        raise WorkFailed("run_failed", f"all inputs must hold the same number of batches, got {sorted(counts)}")
    for index in range(max(counts)):
        batch = [value[index * size : (index + 1) * size] for size, value in zip(sizes, inputs)]
        yield [value if spec.shape else value.reshape(()) for spec, value in zip(specs, batch)]


def _run_once(model: LoadedModel, batch: Sequence[np.ndarray], n_outputs: int) -> list[np.ndarray]:
    for position, value in enumerate(batch):
        model.set_input(position, value)
    model.invoke()
    return [np.atleast_1d(model.output(position)) for position in range(n_outputs)]
