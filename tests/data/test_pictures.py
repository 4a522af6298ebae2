"""Image files, decoded one at a time."""

import pytest
from edgewright.data.pictures import (
    Geometry,
    PictureError,
    read_geometry,
    read_pixels,
    upright_picture,
)
from edgewright.errors import InputError
from PIL import Image


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_other_kinds_of_images_become_rgb(tmp_path, mode):
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    Image.new("RGB", (8, 6), (255, 255, 255)).convert(mode).save(path)
    pixels = read_pixels(path, 8, 6)
    assert pixels.shape == (6, 8, 3) and pixels.min() > 250


def test_an_image_that_cannot_be_used_is_named(tmp_path):
    wide = tmp_path / "wide.png"
    Image.new("RGB", (80, 40), (255, 255, 255)).save(wide)
    whole = wide.read_bytes()
    for content, sentence, reason in (
        (whole[:60], "is it a whole JPEG, PNG or the like", "cannot be read"),
        (b"no image", "it is not an image, or of a kind that Pillow does not know", "not an image"),
        (b"", "it is not an image, or of a kind that Pillow does not know", "not an image"),
    ):
        wide.write_bytes(content)
        with pytest.raises(PictureError, match=f"image {wide} cannot be read: .*{sentence}") as error:
            read_pixels(wide, 80, 40)
        assert error.value.reason == reason and str(error.value).count(str(wide)) == 1
        assert "\n" not in str(error.value)
    wide.write_bytes(whole)
    with pytest.raises(InputError, match="has 80 x 40 pixels, not 40 x 80"):
        read_pixels(wide, 40, 80)
    with pytest.raises(InputError, match=r"no\.png cannot be read"):
        read_pixels(tmp_path / "no.png", 1, 1)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
@pytest.mark.parametrize(("orientation", "upright"), [(1, (8, 6)), (3, (8, 6)), (6, (6, 8)), (9, (8, 6))])
def test_how_an_image_is_stored_and_how_it_is_shown(tmp_path, name, orientation, upright):
    tag = Image.Exif()
    tag[0x0112] = orientation
    Image.new("RGB", (8, 6)).save(tmp_path / name, exif=tag)
    found = read_geometry(tmp_path / name)
    assert found == Geometry(8, 6, orientation if orientation < 9 else 1) and found.upright_size == upright
    assert read_pixels(tmp_path / name, *upright).shape == (*upright[::-1], 3)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("tag", [b"no such thing", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\x01\0\x12\x01"])
def test_a_picture_whose_exif_data_are_damaged_is_shown_as_it_is_stored(tmp_path, tag):
    Image.new("RGB", (8, 6), (255, 255, 255)).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + tag)
    assert read_geometry(tmp_path / "a.jpg") == Geometry(8, 6)
    assert read_pixels(tmp_path / "a.jpg", 8, 6).min() > 250


def test_a_labelled_picture_is_upright_and_decoded_no_larger_than_needed(tmp_path):
    path, tag = tmp_path / "a.jpg", Image.Exif()
    tag[0x0112] = 6
    Image.new("RGB", (800, 400), (255, 0, 0)).save(path, exif=tag)
    content = path.read_bytes()
    for wanted, decoded in (((400, 800), (400, 800)), ((50, 50), (100, 200)), ((70, 10), (200, 400))):
        picture = upright_picture(path, content, wanted)
        assert picture.size == (400, 800) and picture.image.size == decoded and picture.image.mode == "RGB"


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((1, 1), "1 x 1 pixels, too few"),
        ((7, 500), "7 x 500 pixels, too few"),
        ((12_500, 8_001), "12500 x 8001 pixels, too many"),
        ((20_000, 20_000), "too many pixels"),
    ],
)
def test_pictures_of_too_few_and_too_many_pixels_are_refused_by_their_header(tmp_path, monkeypatch, size, reason):
    path = tmp_path / "a.png"
    Image.new("1", size).save(path)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    with pytest.raises(PictureError) as error:
        upright_picture(path, path.read_bytes(), (8, 8))
    assert error.value.reason == reason and "\n" not in str(error.value)


def test_a_labelled_picture_that_is_damaged(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (80, 40), (9, 9, 9)).save(path)
    for content in (path.read_bytes()[:-30], b"", b"no image"):
        with pytest.raises(PictureError, match=f"image {path} cannot be read"):
            upright_picture(path, content, (8, 8))
