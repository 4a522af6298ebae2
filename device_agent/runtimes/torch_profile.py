"""Measures what single operators cost, with torch's own profiler."""

from __future__ import annotations

from typing import Any, Callable


def profile_operators(torch: Any, run: Callable[[], Any], n_runs: int, on_gpu: bool) -> list[dict[str, Any]]:
    """One row per operator, the costliest first: {"op", "latency_ms", "share"}.

    `latency_ms` sums all calls in one run, without the operators that these call; on a GPU it is the time of their
    kernels.
    """
    activity = torch.profiler.ProfilerActivity
    with torch.profiler.profile(activities=[activity.CPU, activity.CUDA] if on_gpu else [activity.CPU]) as seen:
        for _ in range(n_runs):
            run()
        if on_gpu:
            torch.cuda.synchronize()
    own_us = {event.key: _own_us(event, on_gpu) for event in seen.key_averages() if _is_operator(event)}
    total_us = sum(own_us.values())
    costly = sorted((item for item in own_us.items() if item[1] > 0), key=lambda item: -item[1])
    return [{"op": name, "latency_ms": us / n_runs / 1e3, "share": us / total_us} for name, us in costly]


def _is_operator(event: Any) -> bool:
    """Whether it is an operator such as aten::conv2d, not a kernel, a driver call or the profiler itself."""
    return "::" in event.key and str(event.device_type).endswith("CPU")


def _own_us(event: Any, on_gpu: bool) -> float:
    if not on_gpu:
        return float(event.self_cpu_time_total)
    # The name differed before torch 2.4.
    return float(getattr(event, "self_device_time_total", 0) or getattr(event, "self_cuda_time_total", 0))
