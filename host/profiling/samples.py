"""Raw samples of a measurement: what makes them valid, and a sequence of them read when it is first looked at."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import overload

from ..errors import InputError


class LazySamples(Sequence[float]):
    """Samples that `read` returns when they are needed; most users of a measurement never look at them."""

    def __init__(self, read: Callable[[], tuple[float, ...]]) -> None:
        self._read = read

    @cached_property
    def _values(self) -> tuple[float, ...]:
        return self._read()

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[float, ...]: ...
    def __getitem__(self, index: int | slice) -> float | tuple[float, ...]:
        return self._values[index]

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[float]:
        return iter(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._values == tuple(other)

    def __hash__(self) -> int:
        return hash(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


def check_samples(samples_ms: Sequence[float]) -> None:
    """Raises `InputError` unless there are samples, all finite and above 0."""
    if not samples_ms:
        raise InputError("a measurement without samples is an error, not an empty list")
    wrong = [sample for sample in samples_ms if not 0 < sample < math.inf]
    if wrong:
        raise InputError(f"samples_ms must be finite and > 0, got {wrong[0]!r} among {len(samples_ms)} samples")
