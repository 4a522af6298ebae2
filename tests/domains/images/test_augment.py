"""Variations of images are draws of their own, and nothing where they are switched off."""

import numpy as np
import torch
from edgewright.domains.images.augment import Variations
from edgewright.domains.images.settings import ImageSettings

IMAGES = torch.arange(4 * 3 * 16 * 16).remainder(251).float().reshape(4, 3, 16, 16) / 255
DRAWN = Variations.draw(4, torch.Generator().manual_seed(0))


def test_nothing_is_varied_where_nothing_is_asked_for():
    assert torch.equal(DRAWN.applied(IMAGES, ImageSettings(mirror=False, shift=0)), IMAGES)


def test_images_are_mirrored_one_by_one():
    varied = DRAWN.applied(IMAGES, ImageSettings(shift=0))
    mirrored = [torch.allclose(one, other.flip(-1), atol=1e-4) for one, other in zip(varied, IMAGES, strict=True)]
    same = [torch.allclose(one, other, atol=1e-4) for one, other in zip(varied, IMAGES, strict=True)]
    assert sorted(mirrored + same) == [False] * 4 + [True] * 4
    assert mirrored == (DRAWN.draws[0] < 0.5).tolist()


def test_a_shifted_image_is_a_part_of_itself_with_reflected_edges():
    varied = DRAWN.applied(IMAGES, ImageSettings(mirror=False, shift=0.25))
    padded = np.pad(IMAGES.numpy(), ((0, 0), (0, 0), (4, 4), (4, 4)), "symmetric")  # (B, C, 24, 24)
    for one, whole in zip(varied, torch.from_numpy(padded), strict=True):
        parts = whole.unfold(1, 16, 1).unfold(2, 16, 1)  # (C, 9, 9, 16, 16)
        assert (parts - one[:, None, None]).abs().amax((0, 3, 4)).min() < 1e-4


def test_a_cut_image_is_an_enlarged_part_of_itself():
    """Along a ramp, every step of a cut is smaller than the image's own, and no value is one that it lacks."""
    ramp = torch.linspace(0, 1, 16).expand(4, 3, 16, 16)
    varied = DRAWN.applied(ramp, ImageSettings(mirror=False, least_area=0.3))
    steps = varied.diff(dim=-1)
    assert (steps > -1e-6).all() and (steps < 1 / 15 + 1e-4).all()
    assert varied.min() >= 0 and varied.max() <= 1
    assert (varied[:, 0, 0, -1] - varied[:, 0, 0, 0] < 1 - 1e-3).any()


def test_a_part_of_a_batch_is_varied_as_in_the_whole():
    settings = ImageSettings(least_area=0.4, erase=1.0)
    whole = DRAWN.applied(IMAGES, settings)
    assert torch.equal(DRAWN.of(slice(1, 3)).applied(IMAGES[1:3], settings), whole[1:3])


def test_an_erased_image_has_a_grey_rectangle():
    varied = DRAWN.applied(IMAGES, ImageSettings(mirror=False, shift=0, erase=1.0))
    for one, other in zip(varied, IMAGES, strict=True):
        grey = (one != other).any(0)
        assert grey.any() and (one[:, grey] == 0.5).all()
