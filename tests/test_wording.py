import pytest
from edgewright.wording import bytes_text, counted, size_text


@pytest.mark.parametrize(
    ("mib", "text"), [(2.4711, "2.47 MiB"), (0.1, "0.10 MiB"), (0.0999, "102 KiB"), (3 / 1024, "3 KiB"), (0.0, "0 KiB")]
)
def test_small_sizes_are_told_in_kib(mib, text):
    assert size_text(mib) == text


def test_sizes_in_bytes():
    assert bytes_text(3100) == "3.03 KiB" and bytes_text(694_584) == "0.66 MiB"


@pytest.mark.parametrize(("n", "text"), [(0, "0 tries"), (1, "1 try"), (2, "2 tries")])
def test_a_count_has_its_noun_in_the_right_number(n, text):
    assert counted(n, "try", "tries") == text
