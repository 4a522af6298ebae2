"""Every kind of pixels becomes 8-bit RGB."""

import numpy as np
import pytest
from edgewright.data.modes import as_rgb
from edgewright.data.pictures import read_picture
from PIL import Image


def values(image):
    """The colours of the first row."""
    return np.asarray(as_rgb(image))[0].tolist()


def test_rgb_is_as_it_was():
    image = Image.new("RGB", (4, 4), (1, 2, 3))
    assert as_rgb(image) is image


def test_sixteen_bits_are_scaled_not_clipped():
    levels = np.array([[0, 255, 256, 32768, 65535]] * 8, np.uint16)
    wanted = [[v, v, v] for v in (0, 1, 1, 128, 255)]
    assert values(Image.fromarray(levels)) == wanted
    assert values(Image.fromarray(levels.astype(np.int32))) == wanted


def test_sixteen_bits_in_files(tmp_path):
    levels = np.array([[0, 32768, 65535]] * 8, np.uint16)
    for name in ("a.png", "a.tif"):
        Image.fromarray(levels).save(tmp_path / name)
        assert read_picture(tmp_path / name)[0].tolist() == [[0] * 3, [128] * 3, [255] * 3]
        assert read_picture(tmp_path / name, "L")[0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("image", [Image.new("F", (4, 4)), Image.new("I", (4, 4), 70000), Image.new("I", (4, 4), -1)])
def test_numbers_of_which_nobody_knows_what_is_white(image):
    with pytest.raises(ValueError, match="its pixels are"):
        as_rgb(image)


def test_transparent_pixels_lie_on_white():
    assert values(Image.new("RGBA", (1, 1), (255, 0, 0, 0))) == [[255, 255, 255]]
    assert values(Image.new("RGBA", (1, 1), (255, 0, 0, 255))) == [[255, 0, 0]]
    assert values(Image.new("LA", (1, 1), (0, 0))) == [[255, 255, 255]]
    half = values(Image.new("RGBA", (1, 1), (0, 0, 0, 128)))[0]
    assert half == [127, 127, 127]


def test_a_transparent_colour_of_a_palette_is_white(tmp_path):
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((0, 0), 1)
    image.save(tmp_path / "a.png", transparency=0)
    assert read_picture(tmp_path / "a.png")[0, :2].tolist() == [[40, 50, 60], [255, 255, 255]]
    image.save(tmp_path / "a.gif")
    assert read_picture(tmp_path / "a.gif")[0, :2].tolist() == [[40, 50, 60], [10, 20, 30]]


def test_print_colours_of_a_jpeg(tmp_path):
    Image.new("RGB", (16, 16), (250, 10, 10)).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    red, green, blue = (int(v) for v in read_picture(tmp_path / "a.jpg")[8, 8])
    assert red > 230 and green < 40 and blue < 40
