"""Varied handwriting stays in its cell and remains a digit."""

import torch
from edgewright.domains.numvqa.augment import Variation, vary_digits


def test_augmented_digits_stay_in_their_quarter_and_in_range():
    image = torch.zeros(4, 1, 56, 56)
    image[:, :, 8:20, 8:20] = 1.0
    varied = vary_digits(image, Variation.draw(4, torch.Generator().manual_seed(0)))
    assert varied[:, :, 28:].abs().max() == 0 and varied[:, :, :, 28:].abs().max() == 0
    assert 0 <= varied.min() and varied.max() <= 1.0 and not torch.equal(varied, image)
