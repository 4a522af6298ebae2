"""What a user may type for a bound, and what is said about everything else."""

import pytest
from edgewright.cli.budget import parse_budget
from edgewright.costs import Budget
from edgewright.errors import InputError


def test_plain_numbers_become_bounds_and_options_left_out_become_none():
    assert parse_budget("12", None, " 0.5 ") == Budget(latency_ms=12.0, size_mib=0.5)


@pytest.mark.parametrize(
    ("name", "text", "hint"),
    [
        ("latency_ms", "12 s", "--latency-ms 12000"),
        ("latency_ms", "500us", "--latency-ms 0.5"),
        ("memory_mib", "2 GiB", "--memory-mib 2048"),
        ("memory_mib", "1 MB", "--memory-mib 0.953674"),
        ("size_mib", "512KiB", "--size-mib 0.5"),
    ],
)
def test_a_number_in_another_unit_is_converted_in_the_hint(name, text, hint):
    texts = dict.fromkeys(("latency_ms", "memory_mib", "size_mib")) | {name: text}
    with pytest.raises(InputError, match=f"takes a plain number of .*, got '{text}'; did you mean {hint}\\?$"):
        parse_budget(**texts)


@pytest.mark.parametrize("text", ["", "small", "1.2.3 ms", "12 parsec", "--", "1,5"])
def test_what_is_no_number_gets_a_sentence_without_a_guess(text):
    with pytest.raises(InputError, match="^--latency-ms takes a plain number of milliseconds, got ") as refusal:
        parse_budget(text, None, None)
    assert "did you mean" not in str(refusal.value)


def test_bounds_are_checked_as_any_budget_is():
    with pytest.raises(InputError, match="latency_ms must be a finite number above 0, got -3"):
        parse_budget("-3", None, None)
    with pytest.raises(InputError, match="a budget needs at least one of"):
        parse_budget(None, None, None)
