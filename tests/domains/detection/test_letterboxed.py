"""A detection data set as arrays, next to the annotation file it was made of."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from edgewright.data.digits import load_digits
from edgewright.domains.detection.attrod import COLOURS, DIGIT_CATEGORIES, Query, attrod_space
from edgewright.domains.detection.coco.file import CocoFile, detection_set
from edgewright.domains.detection.letterbox import load_letterboxed
from edgewright.domains.detection.letterboxed import load_images
from edgewright.domains.detection.scenes.digit_set import DigitSet, write_digit_set
from edgewright.errors import InputError

SIDE = 32  # letterboxed; the files have 64
SPACE = attrod_space(DIGIT_CATEGORIES)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Twelve images, some with a crowd."""
    wanted = DigitSet("test", 12, side=64, seed=1, crowd_share=0.4)
    folder = write_digit_set(tmp_path_factory.mktemp("digits"), wanted, load_digits())
    return detection_set(CocoFile.read(folder))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("decoded")


@pytest.fixture(scope="module")
def letterboxed(found, cache):
    return load_images(found, SIDE, cache)


def test_every_object_is_where_and_what_it_was(found, letterboxed):
    assert len(letterboxed) == 12 and letterboxed.side == SIDE and letterboxed.categories == DIGIT_CATEGORIES
    for row, image in enumerate(found.images):
        n = len(image.objects)
        assert (letterboxed.category[row, n:] == -1).all() and not letterboxed.crowd[row, n:].any()
        for column, each in enumerate(image.objects):
            assert letterboxed.boxes[row, column] * 2 == pytest.approx(each.box)
            assert DIGIT_CATEGORIES[letterboxed.category[row, column]] == each.category
            assert (*COLOURS, None)[letterboxed.colour[row, column]] == each.colour
            assert letterboxed.crowd[row, column] == each.crowd


def test_pixels_are_those_of_the_files(found, letterboxed):
    for row in (0, 7):
        assert (letterboxed.pixels[row] == load_letterboxed(found.images[row], SIDE).pixels).all()


def test_images_are_decoded_once(found, letterboxed, cache):
    (path,) = cache.glob("*.npy")
    stamp = path.stat().st_mtime_ns
    again = load_images(found, SIDE, cache)
    assert (again.pixels == letterboxed.pixels).all() and path.stat().st_mtime_ns == stamp
    load_images(found, 16, cache)
    assert len(list(cache.glob("*.npy"))) == 2  # another side is another file


@contextmanager
def changed(path, content):
    """A file that for a while is another."""
    before = path.read_bytes()
    path.write_bytes(content)
    yield
    path.write_bytes(before)


def test_a_changed_image_is_decoded_again(found, tmp_path):
    before = load_images(found, 16, tmp_path)
    other = found.images[3].path.read_bytes()
    with changed(found.images[0].path, other):
        after = load_images(found, 16, tmp_path)
    assert (after.pixels[0] == before.pixels[3]).all() and (after.pixels[1:] == before.pixels[1:]).all()


def test_a_damaged_image_is_left_out_with_its_objects(found, tmp_path):
    whole = load_images(found, 16, tmp_path)
    with changed(found.images[4].path, b"no image"):
        letterboxed = load_images(found, 16, tmp_path)
        again = load_images(found, 16, tmp_path)
    left = np.delete(np.arange(12), 4)
    for each in (letterboxed, again):
        assert len(each) == 11 and (each.boxes == whole.boxes[left]).all() and (each.colour == whole.colour[left]).all()
        assert (each.of(np.arange(11)).pixels == whole.pixels[left]).all()


def test_a_set_without_an_image_is_refused(found, tmp_path):
    with pytest.raises(InputError, match="there is no image to learn from or to be judged by"):
        load_images(replace(found, images=()), 16, tmp_path)


@pytest.mark.parametrize("text", ["digit-3", "digit-3, white", "digit-1, lime, crimson", "digit-6, digit-8"])
def test_wanted_and_ignored_are_what_the_query_says_of_each_object(found, letterboxed, text):
    query = Query.of(SPACE.parse(text))
    wanted, ignored = letterboxed.wanted(query), letterboxed.ignored(query)
    for row, image in enumerate(found.images):
        n = len(image.objects)
        assert wanted[row, :n].tolist() == [query.wants(each) for each in image.objects]
        assert ignored[row, :n].tolist() == [query.ignores(each) for each in image.objects]
        assert not wanted[row, n:].any() and not ignored[row, n:].any()


def test_a_crowd_is_ignored_whatever_colour_is_asked_for_and_wanted_by_nobody(letterboxed):
    assert letterboxed.crowd.any()
    for name in DIGIT_CATEGORIES:
        query = Query.of(SPACE.task((name, "white")))
        crowds = letterboxed.crowd & (letterboxed.category == DIGIT_CATEGORIES.index(name))
        assert (letterboxed.ignored(query) == crowds).all() and not (letterboxed.wanted(query) & crowds).any()


def test_some_rows_are_a_set_of_their_own(letterboxed):
    some = letterboxed.of(np.array([5, 2]))
    assert len(some) == 2 and some.categories == letterboxed.categories
    assert (some.pixels[0] == letterboxed.pixels[5]).all() and (some.boxes[1] == letterboxed.boxes[2]).all()
    assert (some.category == letterboxed.category[[5, 2]]).all() and (some.crowd == letterboxed.crowd[[5, 2]]).all()


def test_a_set_without_objects_has_room_for_one_that_is_not_there(found, tmp_path):
    empty = replace(found, images=tuple(replace(image, objects=()) for image in found.images[:2]))
    letterboxed = load_images(empty, 16, tmp_path)
    assert letterboxed.boxes.shape == (2, 1, 4) and (letterboxed.category == -1).all()
