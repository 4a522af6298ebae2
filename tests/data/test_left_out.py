"""Files that cannot be used: counted, told in one sentence, and an error when they are too many."""

import pytest
from edgewright.data.left_out import LeftOut
from edgewright.errors import InputError


def test_the_first_ones_are_named_and_the_others_counted():
    found = LeftOut(40, "photos")
    for name in "abcde":
        found.add(f"{name}.png", "not there")
    assert len(found) == 5
    assert found.sentence() == (
        "5 of 40 images of photos are left out: a.png (not there), b.png (not there), c.png (not there) and 2 more"
    )


@pytest.mark.parametrize(("n_left_out", "n_files", "fits"), [(0, 1, True), (1, 10, True), (2, 10, False)])
def test_more_than_a_tenth_is_an_error(n_left_out, n_files, fits):
    found = LeftOut(n_files, "photos")
    for number in range(n_left_out):
        found.add(f"{number}.png", "cannot be read")
    if fits:
        found.check()
    else:
        with pytest.raises(InputError, match=r"2 of 10 .* that is more than 10%: complete the folder first"):
            found.check()
