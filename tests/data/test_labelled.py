"""Labelled images are read, checked and split; the same data give the same digest anywhere."""

import os
import shutil

import numpy as np
import pytest
from edgewright.data.labelled import SPLITS, read_labelled, survey_labelled
from edgewright.errors import InputError
from PIL import Image

from tests.data.small_folder import drawn, save, write_digits, write_shapes, write_table


def read(folder, tmp_path):
    return read_labelled(folder, tmp_path / "cache")


def test_a_folder_per_class(tmp_path):
    images = read(write_digits(tmp_path / "digits"), tmp_path)
    assert [(g.name, g.labels, g.exclusive) for g in images.groups] == [("class", ("one", "two", "zero"), True)]
    assert len(images) == 60 and images.names[0] == "one/000.png" and list(images.names) == sorted(images.names)
    assert images.has.sum(0).tolist() == [20, 20, 20] and (images.has.sum(1) == 1).all()
    assert images.has[images.names.index("two/003.png")].tolist() == [False, True, False]
    assert len(images.left_out) == 0 and images.root == tmp_path / "digits"


def test_splits_are_drawn_so_that_each_has_some_of_each_label(tmp_path):
    images = read(write_digits(tmp_path / "digits", n=10), tmp_path)
    for name in SPLITS:
        assert (images.has[images.of_split(name)].sum(0) >= 1).all()
    assert len(images.of_split("train")) > 15


def test_given_splits_are_kept(tmp_path):
    folder = write_digits(tmp_path / "digits", splits=True, n=10)
    (folder / "validation").rename(folder / "VAL")
    images = read(folder, tmp_path)
    for row, name in enumerate(images.names):
        assert SPLITS[images.split[row]] == name.split("/")[0].replace("VAL", "validation")
    assert [len(images.of_split(name)) for name in SPLITS] == [30, 30, 30]


def test_a_missing_split_is_drawn_from_the_training_images(tmp_path):
    folder = write_digits(tmp_path / "digits", splits=True)
    shutil.rmtree(folder / "validation")
    survey = survey_labelled(folder, tmp_path / "cache")
    assert survey.splits_given == ("train", "test")
    names = [survey.images.names[row] for row in survey.images.of_split("validation")]
    assert names and all(name.startswith("train/") for name in names)
    assert len(survey.images.of_split("test")) == 60


def test_a_picture_stays_in_its_split_when_others_come(tmp_path):
    one = read(write_digits(tmp_path / "digits", n=30), tmp_path)
    more = read(write_digits(tmp_path / "digits", n=60), tmp_path)
    before, after = (dict(zip(each.names, each.split.tolist(), strict=True)) for each in (one, more))
    assert {name: after[name] for name in before} == before and one.digest != more.digest


def test_the_digest_is_of_the_data_alone(tmp_path):
    folder = write_digits(tmp_path / "digits")
    images = read(folder, tmp_path)
    shutil.copytree(folder, tmp_path / "elsewhere" / "copy", copy_function=shutil.copyfile)
    assert read(tmp_path / "elsewhere" / "copy", tmp_path / "other").digest == images.digest
    os.rename(folder / "one" / "000.png", folder / "two" / "900.png")
    assert read(folder, tmp_path).digest != images.digest


def test_the_digest_is_of_labels_and_splits_too(tmp_path):
    folder = write_table(tmp_path / "table")
    table, digests = (folder / "labels.csv").read_text(), set()
    for change in ("red,no", "red,yes"):
        (folder / "labels.csv").write_text(table.replace("red,yes", change))
        digests.add(read(folder, tmp_path).digest)
    rows = table.splitlines()
    for names in (("train", "validation", "test"), ("test", "train", "validation")):
        split = [f"{row},{names[number // 3 % 3]}" for number, row in enumerate(rows[1:])]
        (folder / "labels.csv").write_text("\n".join([f"{rows[0]},split", *split]))
        digests.add(read(folder, tmp_path).digest)
    assert len(digests) == 4


def test_a_table(tmp_path):
    images = read(write_table(tmp_path / "table"), tmp_path)
    assert [(g.name, g.labels, g.exclusive) for g in images.groups] == [
        ("shape", ("cross", "disc", "square"), True),
        ("colour", ("blue", "green", "red"), True),
        ("bright", ("bright",), False),
    ]
    assert images.labels == ("cross", "disc", "square", "blue", "green", "red", "bright")
    assert images.has.shape == (36, 7) and images.has[:, :6].sum(0).tolist() == [12] * 6
    assert 0 < images.has[:, 6].sum() < 36


def test_a_picture_of_the_test_split_is_left_out_elsewhere(tmp_path):
    folder = write_digits(tmp_path / "digits", splits=True)
    shutil.copy(folder / "test" / "one" / "000.png", folder / "train" / "one" / "900.png")
    Image.open(folder / "test" / "two" / "001.png").save(folder / "validation" / "two" / "901.jpg", quality=60)
    survey = survey_labelled(folder, tmp_path / "cache")
    assert survey.images.left_out.reasons == {
        "train/one/900.png": "the same picture as test/one/000.png of the test split",
        "validation/two/901.jpg": "the same picture as test/two/001.png of the test split",
    }
    assert [each.names for each in survey.twins] == [
        ("test/one/000.png", "train/one/900.png"), ("test/two/001.png", "validation/two/901.jpg")
    ]  # fmt: skip
    assert [each.same_content for each in survey.twins] == [True, False]
    assert all(each.across_splits for each in survey.twins)


def test_twins_are_drawn_into_one_split(tmp_path):
    folder = write_shapes(tmp_path / "shapes", n=40)
    for number in range(0, 40, 2):
        Image.open(folder / "disc" / f"{number:03}.png").save(folder / "disc" / f"{number + 100}.jpg", quality=75)
    survey = survey_labelled(folder, tmp_path / "cache")
    split = dict(zip(survey.images.names, survey.images.split.tolist(), strict=True))
    assert len(survey.twins) == 20 and len(survey.images) == 140
    assert all(split[each.names[0]] == split[each.names[1]] for each in survey.twins)
    assert len({split[each.names[0]] for each in survey.twins}) > 1


def test_broken_files_are_named_and_left_out(tmp_path):
    folder = write_digits(tmp_path / "digits")
    (folder / "one" / "000.png").write_bytes(b"no image")
    whole = (folder / "two" / "000.png").read_bytes()
    (folder / "two" / "000.png").write_bytes(whole[: len(whole) // 2])
    survey = survey_labelled(folder, tmp_path / "cache")
    assert survey.unreadable == {"one/000.png": "not an image", "two/000.png": "cannot be read"}
    assert survey.images.left_out.reasons == survey.unreadable and survey.images.left_out.n_files == 60
    for number in range(1, 6):
        (folder / "one" / f"{number:03}.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"7 of 60 images .* more than 10%"):
        read(folder, tmp_path)


def test_tiny_and_huge_images_are_refused_by_their_header(tmp_path):
    folder = write_digits(tmp_path / "digits")
    Image.new("RGB", (1, 1)).save(folder / "one" / "000.png")
    Image.new("1", (20_000, 20_000)).save(folder / "two" / "000.png")
    Image.new("1", (12_000, 10_000)).save(folder / "two" / "001.png")
    assert survey_labelled(folder, tmp_path / "cache").unreadable == {
        "one/000.png": "1 x 1 pixels, too few",
        "two/000.png": "too many pixels",
        "two/001.png": "12000 x 10000 pixels, too many",
    }


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    folder = write_digits(tmp_path / "digits")
    outside = save(drawn("disc", "red", 1), tmp_path / "outside" / "a.png")
    (folder / "one" / "link.png").symlink_to(outside)
    (folder / "two" / "more").symlink_to(outside.parent)
    (folder / "two" / "within.png").symlink_to(folder / "two" / "000.png")
    (folder / "three").symlink_to(outside.parent)
    (folder / "deux").symlink_to(folder / "two")
    survey = survey_labelled(folder, tmp_path / "cache")
    assert survey.images.labels == ("one", "two", "zero")
    assert survey.unreadable == {
        "deux": "a link to a folder",
        "one/link.png": "a link out of the folder",
        "three": "a link out of the folder",
        "two/more": "a link out of the folder",
    }
    assert "two/within.png" in survey.images.names and len(survey.twins) == 1


def test_every_second_reading_decodes_nothing(tmp_path, monkeypatch):
    folder = write_digits(tmp_path / "digits")
    first = read(folder, tmp_path)
    monkeypatch.setattr("edgewright.data.layouts.files.FilePictures.content", None)
    assert read(folder, tmp_path).digest == first.digest
    monkeypatch.undo()
    save(drawn("disc", "red", 1), folder / "one" / "000.png")
    assert read(folder, tmp_path).digest != first.digest


def test_unknown_splits_are_refused(tmp_path):
    images = read(write_digits(tmp_path / "digits"), tmp_path)
    with pytest.raises(InputError, match="unknown split 'val'; there are train, validation, test"):
        images.of_split("val")
    assert sorted(np.concatenate([images.of_split(name) for name in SPLITS]).tolist()) == list(range(60))
