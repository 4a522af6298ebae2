"""Real handwritten digits in three splits that share none."""

import numpy as np
import pytest
from edgewright.data.digits import Digits, load_digits
from edgewright.errors import InputError


def test_no_digit_of_one_split_is_in_another():
    splits = load_digits()
    seen = [{image.tobytes() for image in part.images} for part in (splits.train, splits.validation, splits.test)]
    assert not seen[0] & seen[2] and not seen[0] & seen[1] and not seen[1] & seen[2]
    assert [len(part.labels) for part in (splits.train, splits.validation, splits.test)] == [3800, 200, 1000]


def test_the_splits_are_the_same_every_time():
    one, again = load_digits(), load_digits()
    assert (one.test.images == again.test.images).all() and (one.test.labels == again.test.labels).all()
    assert [len(part) for part in one.test.of_class()] == [100] * 10


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        ((10, 8, 8), np.arange(10), r"images of shape \(10, 28, 28\), got \(10, 8, 8\)"),
        ((9, 28, 28), np.arange(9), r"no example of \[9\]; every digit 0-9 is needed"),
    ],
)
def test_digits_of_another_size_and_sets_that_lack_one_are_refused(images, labels, sentence):
    with pytest.raises(InputError, match=sentence):
        Digits(np.zeros(images, np.uint8), labels)


def test_missing_mnist_files_are_named(tmp_path):
    with pytest.raises(InputError, match="no MNIST files in .* or leave out `mnist_dir`"):
        load_digits(tmp_path)
