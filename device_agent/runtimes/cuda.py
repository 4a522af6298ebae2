"""Measures on an NVIDIA GPU with its own clock, memory gauge and errors.

Only the measuring child uses it, because CUDA does not survive a fork: the agent imports torch but never starts CUDA.
The program that starts the agent may have started CUDA, since the agent is a new process and not a fork.
"""

from __future__ import annotations

import resource
from contextlib import contextmanager
from typing import Any, Callable, Iterator

from ..isolation import WorkFailed


class Cuda:
    """The GPU behind `torch.cuda`, passed as `cuda`. Counts memory from its creation on."""

    name = "cuda"
    clock_name = "cuda_events"
    memory_name = "torch_cuda_peak"

    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda
        # Lift the limit: the driver maps far more memory than it uses, and the model's is counted on the GPU.
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
        cuda.init()
        cuda.reset_peak_memory_stats()

    def run_ms(self, run: Callable[[], Any]) -> float:
        """Milliseconds of one run on the GPU, which is idle before and after."""
        start, end = self._cuda.Event(enable_timing=True), self._cuda.Event(enable_timing=True)
        self._cuda.synchronize()
        start.record()
        run()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end))

    def peak_bytes(self) -> int:
        """Peak memory of tensors."""
        return int(self._cuda.max_memory_allocated())

    @contextmanager
    def exhaustion_named(self) -> Iterator[None]:
        try:
            yield
        except getattr(self._cuda, "OutOfMemoryError", MemoryError) as error:  # in torch since 1.13
            raise WorkFailed("out_of_memory", f"the GPU does not have enough memory for it: {error}") from error


def find_cuda(torch: Any) -> Cuda | None:
    """The GPU that torch can use in this process; None without one.

    Raises `WorkFailed` in a child of a process that had started CUDA, since the GPU is unusable there.
    """
    if not torch.cuda.is_available():
        return None
    is_in_bad_fork = getattr(torch.cuda, "_is_in_bad_fork", None)
    if is_in_bad_fork is not None and is_in_bad_fork():
        raise WorkFailed(
            "load_failed",
            "the process that measures had started CUDA, which does not survive the fork of a measuring child; "
            "measure with an agent, a process of its own that leaves CUDA to its children",
        )
    return Cuda(torch.cuda)
