"""What later steps need is drawn by threads while this step computes. A draw is a function of its step alone.

Threads suffice: a draw takes about a millisecond, since no image is computed in it. Processes would have to be started
anew (a fork survives neither threads nor CUDA), and would have to send what they draw.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields, is_dataclass, replace
from types import TracebackType
from typing import Any, Generic, TypeVar

from torch import Tensor

D = TypeVar("D")
T = TypeVar("T")

DEPTH = 4
"""Draws ahead for each thread."""


class Ahead:
    """Threads that draw ahead, for as long as the context lasts. Without threads, a draw is made when it is asked for.

    Attributes:
        n_threads: 0 for none.
        pin: whether draws are kept in pinned memory, from which a GPU copies beside its computation.
        waited_s: seconds that steps have waited for what they need.
    """

    def __init__(self, n_threads: int = 0, pin: bool = False) -> None:
        self.n_threads, self.pin = n_threads, pin
        self.waited_s = 0.0
        self._pool = ThreadPoolExecutor(n_threads, "batches") if n_threads else None

    def __enter__(self) -> Ahead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def steps(self, draw: Callable[[int], D], finish: Callable[[D], T], n_steps: int) -> Callable[[int], T]:
        """A function of the step: what `finish` makes of its draw, in the calling thread.

        `draw` must be safe to call in several threads at once, and the function be asked for steps in their order,
        from any one on. No step from `n_steps` on is drawn before it is asked for.
        """
        drawn = draw if self._pool is None else _Queue(self._pool, self._placed(draw), n_steps, DEPTH * self.n_threads)

        def ready(step: int) -> T:
            start = time.perf_counter()
            found = finish(drawn(step))
            self.waited_s += time.perf_counter() - start
            return found

        return ready

    def _placed(self, draw: Callable[[int], D]) -> Callable[[int], D]:
        return (lambda step: pinned(draw(step))) if self.pin else draw


class _Queue(Generic[D]):
    """Draws that are under way, by their steps."""

    def __init__(self, pool: ThreadPoolExecutor, draw: Callable[[int], D], n_steps: int, depth: int) -> None:
        self._pool, self._draw, self._n_steps, self._depth = pool, draw, n_steps, depth
        self._drawn: dict[int, Future[D]] = {}

    def __call__(self, step: int) -> D:
        last = min(step + self._depth, self._n_steps - 1)
        for later in (step, *range(step + 1, last + 1)):
            if later not in self._drawn:
                self._drawn[later] = self._pool.submit(self._draw, later)
        return self._drawn.pop(step).result()


def pinned(drawn: Any) -> Any:
    """A copy whose tensors are in pinned memory: those of tuples and dataclasses, at any depth."""
    if isinstance(drawn, Tensor):
        return drawn.pin_memory()
    if isinstance(drawn, tuple):
        return tuple(pinned(each) for each in drawn)
    if is_dataclass(drawn) and not isinstance(drawn, type):
        return replace(drawn, **{each.name: pinned(getattr(drawn, each.name)) for each in fields(drawn)})
    return drawn
