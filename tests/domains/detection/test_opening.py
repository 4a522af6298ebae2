"""Which data a task domain is opened over: what comes along, or a folder in COCO's format."""

import shutil
from functools import cache, partial

import numpy as np
import pytest
from edgewright.data.digits import load_digits
from edgewright.domains.detection import opening
from edgewright.domains.detection.attrod import DIGIT_CATEGORIES
from edgewright.domains.detection.coco.file import CocoFile
from edgewright.domains.detection.kind import ATTROD
from edgewright.domains.detection.settings import DetectionSettings
from edgewright.domains.protocol import DataSources
from edgewright.errors import InputError
from edgewright.supernet.backbones import Backbone

from tests.domains.detection.small_coco import N_IMAGES, name, write_small_coco

SIDE = 32
BACKBONE = Backbone("detector", {"strides": [8, 16]}, (3, SIDE, SIDE))
CATEGORIES = ("person", "bicycle", "car", "motorcycle")
UNREADABLE = {4, 5}  # of the small folder's images
read_once = cache(load_digits)


@pytest.fixture
def sources(tmp_path):
    return partial(DataSources, mnist=None, cache=tmp_path / "made")


@pytest.fixture
def coco(tmp_path):
    """`train2017` and `val2017`, the same images in both."""
    folder = write_small_coco(tmp_path / "coco")
    shutil.copytree(folder.images, folder.images.parent / "train2017")
    shutil.copy(folder.annotations, folder.annotations.with_name("instances_train2017.json"))
    return folder.images.parent


@pytest.fixture(autouse=True)
def digits_are_read_once(monkeypatch):
    monkeypatch.setattr(opening, "load_digits", read_once)


def opened(categories, sources, backbone=BACKBONE):
    return ATTROD.open(DetectionSettings(categories), backbone, sources)


def images_of(root, split, sources):
    found = opening._detection_set(root, split, CATEGORIES, sources(root))
    return [image.path.name for image in found.images]


def readable():
    return set(range(1, N_IMAGES + 1)) - UNREADABLE


def few_images(monkeypatch):
    monkeypatch.setattr(opening, "DIGIT_SETS", {"train": 6, "validation": 3, "test": 4})


def test_detection_needs_a_detector(sources):
    with pytest.raises(InputError, match="needs a detector as backbone"):
        opened(DIGIT_CATEGORIES, sources(None), Backbone("resnet18"))


def test_without_a_folder_there_are_coloured_digits_made_when_they_are_asked_for(sources, monkeypatch):
    few_images(monkeypatch)
    said = []
    domain = opened((), sources(None, say=said.append))
    assert domain.categories == DIGIT_CATEGORIES and not said
    sizes = {split: len(domain.images(split)) for split in ("train", "validation", "test")}
    assert sizes == {"train": 6, "validation": 3, "test": 4} and domain.images("train").side == SIDE
    assert len(said) == 3 and "making 6 images of coloured digits in " in said[0]
    again = opened((), sources(None, say=said.append))
    assert (again.images("test").pixels == domain.images("test").pixels).all() and len(said) == 3


def test_the_order_of_categories_is_the_recipes(sources, monkeypatch):
    few_images(monkeypatch)
    domain = opened(DIGIT_CATEGORIES[::-1], sources(None))
    other = opened(DIGIT_CATEGORIES, sources(None))
    one, two = domain.images("train").category, other.images("train").category
    assert (one == np.where(two < 0, -1, 3 - two)).all() and (two >= 0).any()


def test_photographs_need_a_folder(sources):
    with pytest.raises(InputError, match="`data` is needed: a folder in COCO's format with person, car"):
        opened(("person", "car"), sources(None))


def test_a_folder_without_splits_is_refused(sources, tmp_path):
    with pytest.raises(InputError, match="is no data set: it has no annotations/instances_"):
        opened((), sources(tmp_path))
    with pytest.raises(InputError, match="is no data set: it has no annotations/instances_"):
        opened(CATEGORIES, sources(tmp_path / "nowhere")).images("test")


def test_a_category_that_the_folder_lacks_is_named(sources, coco):
    domain = opened(("person", "cat"), sources(coco))
    with pytest.raises(InputError, match="has no category 'cat'; did you mean 'car'"):
        domain.images("train")


def test_a_folder_like_coco_2017_is_tested_on_its_validation_images(sources, coco):
    domain = opened((), sources(coco))
    assert domain.categories == CATEGORIES and domain.data == str(coco)
    test = domain.images("test")
    assert len(test) == len(readable())
    assert domain.count(domain.space.parse("black motorcycles")) > 10  # their colours were found in the pixels


def test_validation_is_a_fixed_share_that_training_lacks(sources, coco, monkeypatch):
    monkeypatch.setattr(opening, "_VALIDATION_SHARE", 3)
    train, validation = (images_of(coco, split, sources) for split in ("train", "validation"))
    assert 1 < len(validation) < len(train) and not set(train) & set(validation)
    assert {*train, *validation} == {name(number).split("/")[-1] for number in readable()}
    assert images_of(coco, "validation", sources) == validation  # the same ones
    domain = opened(CATEGORIES, sources(coco))
    assert len(domain.images("train")) == len(train) and len(domain.images("validation")) == len(validation)


def test_validation_has_an_image_however_small_the_folder(sources, coco, monkeypatch):
    monkeypatch.setattr(opening, "_VALIDATION_SHARE", 10**9)
    train, validation = (images_of(coco, split, sources) for split in ("train", "validation"))
    assert len(validation) == 1 and len(train) == len(readable()) - 1


def test_a_split_for_validation_is_taken_where_there_is_one(sources, coco):
    shutil.copytree(coco / "val2017", coco / "validation")
    shutil.copy(coco / "annotations" / "instances_val2017.json", coco / "annotations" / "instances_validation.json")
    domain = opened(CATEGORIES, sources(coco))
    assert len(domain.images("validation")) == len(domain.images("train")) == len(readable())


def test_progress_is_told_split_by_split(sources, coco):
    seen = []
    watched = sources(coco, progress=lambda what, done, total: seen.append((what, done, total)))
    opened(CATEGORIES, watched).images("test")
    assert seen and {what for what, _, _ in seen} == {"test images"}
    assert all(done <= total for _, done, total in seen)
    assert CocoFile.read(opening._folder(coco, "test")).images  # the folder itself is as it was
