"""Variations of images are draws of their own, and nothing where they are switched off."""

import torch
from edgewright.domains.images.augment import Variations
from edgewright.domains.images.settings import ImageSettings

IMAGES = torch.arange(4 * 3 * 16 * 16, dtype=torch.int64).remainder(251).to(torch.uint8).reshape(4, 3, 16, 16)
DRAWN = Variations.draw(4, torch.Generator().manual_seed(0))


def test_nothing_is_varied_where_nothing_is_asked_for():
    assert torch.equal(DRAWN.applied(IMAGES, ImageSettings(mirror=False, shift=0)), IMAGES)


def test_images_are_mirrored_one_by_one():
    varied = DRAWN.applied(IMAGES, ImageSettings(shift=0))
    mirrored = [torch.equal(one, other.flip(-1)) for one, other in zip(varied, IMAGES, strict=True)]
    same = [torch.equal(one, other) for one, other in zip(varied, IMAGES, strict=True)]
    assert sorted(mirrored + same) == [False] * 4 + [True] * 4
    assert mirrored == (DRAWN.draws[0] < 0.5).tolist()


def test_a_shifted_image_is_a_part_of_itself_with_reflected_edges():
    varied = DRAWN.applied(IMAGES, ImageSettings(mirror=False, shift=0.25))
    padded = torch.nn.functional.pad(IMAGES.float(), [4] * 4, mode="reflect").to(torch.uint8)
    for one, whole in zip(varied, padded, strict=True):
        parts = whole.unfold(1, 16, 1).unfold(2, 16, 1)  # (C, 9, 9, 16, 16)
        assert (parts == one[:, None, None]).all((0, 3, 4)).any()


def test_a_part_of_a_batch_is_varied_as_in_the_whole():
    settings = ImageSettings(least_area=0.4, erase=1.0)
    whole = DRAWN.applied(IMAGES, settings)
    assert torch.equal(DRAWN.of(slice(1, 3)).applied(IMAGES[1:3], settings), whole[1:3])


def test_an_erased_image_has_a_grey_rectangle():
    varied = DRAWN.applied(IMAGES, ImageSettings(mirror=False, shift=0, erase=1.0))
    for one, other in zip(varied, IMAGES, strict=True):
        grey = (one != other).any(0)
        assert grey.any() and (one[:, grey] == 128).all()
