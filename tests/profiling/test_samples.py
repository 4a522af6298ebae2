"""Samples that are read when they are first looked at."""

from __future__ import annotations

import pytest
from edgewright.errors import InputError
from edgewright.profiling.samples import LazySamples, check_samples


def test_they_are_read_once_and_only_when_needed() -> None:
    reads: list[int] = []

    def read() -> tuple[float, ...]:
        reads.append(1)
        return (3.0, 1.0, 2.0)

    samples = LazySamples(read)
    assert reads == []
    assert len(samples) == 3 and samples[0] == 3.0 and samples[1:] == (1.0, 2.0) and sorted(samples) == [1, 2, 3]
    assert samples == (3.0, 1.0, 2.0) and (3.0, 1.0, 2.0) == samples and samples != (3.0, 1.0)
    assert hash(samples) == hash((3.0, 1.0, 2.0)) and repr(samples) == "(3.0, 1.0, 2.0)"
    assert reads == [1]


@pytest.mark.parametrize("wrong", [(), (1.0, 0.0), (-1.0,), (float("nan"),), (float("inf"),)])
def test_what_is_no_measurement_is_refused(wrong: tuple[float, ...]) -> None:
    with pytest.raises(InputError):
        check_samples(wrong)
