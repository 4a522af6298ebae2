"""A folder per class, with or without splits on top."""

import os
import shutil

import pytest
from edgewright.data.labelled import read_labelled
from edgewright.data.layouts import list_images
from edgewright.errors import InputError

from tests.data.small_folder import drawn, save, write_digits, write_shapes


def test_images_may_lie_deeper_and_other_files_are_ignored(tmp_path):
    folder = write_shapes(tmp_path / "shapes")
    save(drawn("disc", "red", 500), folder / "disc" / "more" / "a.JPG")
    (folder / "disc" / "readme.txt").write_text("not an image")
    (folder / "disc" / "._000.png").write_bytes(b"of macOS")
    shutil.copytree(folder / "disc", folder / "__MACOSX")
    shutil.copytree(folder / "disc", folder / ".thumbnails")
    listing = list_images(folder)
    assert listing.groups[0].labels == ("cross", "disc", "square") and len(listing.names) == 37
    assert "disc/more/a.JPG" in listing.names and len(listing.left_out) == 0


def test_classes_may_be_called_like_splits(tmp_path):
    folder = write_digits(tmp_path / "vehicles")
    for old, new in (("one", "train"), ("two", "bus"), ("zero", "car")):
        (folder / old).rename(folder / new)
    assert list_images(folder).groups[0].labels == ("bus", "car", "train")


def test_names_of_folders_are_labels_in_composed_characters(tmp_path):
    folder = write_digits(tmp_path / "digits")
    (folder / "one").rename(folder / "a\u0308pfel")
    assert list_images(folder).groups[0].labels == ("two", "zero", "äpfel")


def test_images_of_no_class_are_left_out(tmp_path):
    folder = write_digits(tmp_path / "digits")
    shutil.copy(folder / "one" / "000.png", folder / "loose.png")
    assert list_images(folder).left_out.reasons == {"loose.png": "in no class"}


def test_names_that_are_no_text_are_left_out(tmp_path):
    folder = write_digits(tmp_path / "digits")
    for name in (b"a\nb.png", b"\xff.png"):
        shutil.copy(folder / "one" / "000.png", os.path.join(os.fsencode(folder), b"one", name))
    images = read_labelled(folder, tmp_path / "cache")
    assert images.left_out.reasons == {
        r"one/a\nb.png": "its name is no line of text", r"one/\udcff.png": "its name is no line of text"
    }  # fmt: skip


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    folder = write_digits(tmp_path / "digits")

    def refuse(*_):
        raise PermissionError(13, "Permission denied", str(folder / "one"))

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(InputError, match="cannot read .*one: Permission denied; check the folder"):
        list_images(folder)


@pytest.mark.parametrize(
    ("folders", "sentence"),
    [
        (["train/cat", "test/cat", "notes/cat"], r"holds folders of splits \(test, train\) and others \(notes\); move"),
        (["test/cat", "test/dog"], "has no folder of training images; expected one called train"),
        (["train/cat", "val/cat", "valid/cat"], r"has two folders for one split \(train, val, valid\); join them"),
        (["train", "test"], "are in no class; put those of each class into a folder of its own, or add a table"),
        (["."], "are in no class; put those of each class into a folder of its own, or add a table"),
    ],
)
def test_folders_that_are_laid_out_in_another_way(tmp_path, folders, sentence):
    for name in folders:
        save(drawn("disc", "red", 1), tmp_path / "DIR" / name / "a.png")
    with pytest.raises(InputError, match=sentence):
        list_images(tmp_path / "DIR")


def test_empty_folders_and_such_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match="there is no .*no; name a folder of labelled images, or a table"):
        list_images(tmp_path / "no")
    with pytest.raises(InputError, match=r"no labelled images in .*; expected .*a table .* or a folder per class"):
        list_images(tmp_path)
    (tmp_path / "photo.png").write_bytes(b"")
    with pytest.raises(InputError, match="no labelled images in .*photo.png"):
        list_images(tmp_path / "photo.png")
    (tmp_path / "photo.png").unlink()
    (tmp_path / "cat").mkdir()
    (tmp_path / "dog").mkdir()
    with pytest.raises(InputError, match="holds no images"):
        read_labelled(tmp_path, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
