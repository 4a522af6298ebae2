"""Pictures that are the same, also when they were saved again; similar ones are not."""

import io
from collections import Counter

import numpy as np
import pytest
from edgewright.data.digits import load_digits
from edgewright.data.prints import PRINT
from edgewright.data.twins import twin_groups
from edgewright.files import sha256_of
from PIL import Image

from tests.data.small_folder import SHAPES, drawn


def prints_of(images):
    found = np.zeros(len(images), PRINT)
    for row, image in enumerate(images):
        rgb = image.convert("RGB")
        found[row]["content"] = np.frombuffer(bytes.fromhex(sha256_of(rgb.tobytes())), np.uint8)
        found[row]["miniature"] = np.asarray(rgb.resize((16, 16), Image.Resampling.BOX))
    return found


def saved(image, name, size=None, **options):
    """The picture as another program would have saved it."""
    content = io.BytesIO()
    (image if size is None else image.resize(size, Image.Resampling.LANCZOS)).save(content, name, **options)
    return Image.open(content)


@pytest.fixture(scope="module")
def pictures():
    return [drawn(SHAPES[seed % 3], "green", seed, 96) for seed in range(60)]


@pytest.mark.parametrize(
    "again",
    [
        lambda image: image,
        lambda image: saved(image, "PNG"),
        lambda image: saved(image, "JPEG", quality=50),
        lambda image: saved(image, "WEBP", quality=70),
        lambda image: saved(image, "GIF"),
        lambda image: saved(image, "JPEG", (48, 48), quality=85),
        lambda image: saved(image, "PNG", (150, 150)),
    ],
    ids=["copy", "png", "jpeg", "webp", "gif", "half", "larger"],
)
def test_a_picture_that_was_saved_again_is_the_same(pictures, again):
    groups = twin_groups(prints_of([*pictures, *map(again, pictures)]))
    assert (groups[:60] == groups[60:]).all() and len(set(groups.tolist())) == 60


def test_different_handwritten_digits_are_different():
    digits = load_digits().train.images
    assert len(set(twin_groups(prints_of([Image.fromarray(each) for each in digits])).tolist())) == len(digits)


def test_a_small_thing_that_moved_makes_another_picture():
    """As on frames of a camera that stands still."""
    frames = []
    for step in range(10):
        frame = drawn("square", "red", 1, 96)
        frame.paste((0, 0, 0), (step * 9, 40, step * 9 + 9, 60))
        frames.append(frame)
    assert len(set(twin_groups(prints_of(frames)).tolist())) == 10


def test_another_colour_makes_another_picture():
    images = [drawn("disc", colour, 5) for colour in ("red", "green", "blue")]
    assert len(set(twin_groups(prints_of(images)).tolist())) == 3


def test_more_copies_than_neighbours_are_one_group(pictures):
    copies = [saved(pictures[0], "JPEG", quality=quality) for quality in range(50, 96)]
    groups = twin_groups(prints_of([*copies, *pictures[1:]]))
    assert sorted(Counter(groups.tolist()).values()) == [1] * 59 + [46]


def test_two_crowds_of_copies_of_one_picture_are_one_group(pictures):
    """Each copy's nearest ones are all in its own crowd."""
    prints = prints_of(pictures[:1] * 40)
    prints["content"][:, 0] = np.arange(40)
    prints["miniature"][20:] += 2
    prints["miniature"].reshape(40, -1)[np.arange(40), np.arange(40)] += 1
    assert len(set(twin_groups(prints).tolist())) == 1


def test_plain_pictures_are_the_same_only_when_they_are():
    greys = [Image.new("RGB", (16, 16), (level,) * 3) for level in range(0, 250, 5)]
    assert len(set(twin_groups(prints_of(greys)).tolist())) == 50
    assert len(set(twin_groups(prints_of(greys[:1] * 30)).tolist())) == 1


def test_sets_of_one_and_of_none():
    assert twin_groups(prints_of([drawn("disc", "red", 1)])).tolist() == [0]
    assert twin_groups(prints_of([])).tolist() == []
