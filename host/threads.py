"""How many threads torch computes with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Tiny tensors are computed on one thread: on a busy machine, several would spend their time waiting for each
    other. Also a decorator. The calling thread has its own number of threads back afterwards."""
    import torch  # not heavy to import this module

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
