import pytest
from edgewright.wording import bytes_text, size_text


@pytest.mark.parametrize(
    ("mib", "text"), [(2.4711, "2.47 MiB"), (0.1, "0.10 MiB"), (0.0999, "102 KiB"), (3 / 1024, "3 KiB"), (0.0, "0 KiB")]
)
def test_small_sizes_are_told_in_kib(mib, text):
    assert size_text(mib) == text


def test_sizes_in_bytes():
    assert bytes_text(3100) == "3.03 KiB" and bytes_text(694_584) == "0.66 MiB"
