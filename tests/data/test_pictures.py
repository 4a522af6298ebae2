"""Image files, decoded one at a time."""

import pytest
from edgewright.data.pictures import read_pixels
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
    for content, sentence in ((whole[:60], "cannot be read"), (b"no image", "cannot be read"), (b"", "cannot be read")):
        wide.write_bytes(content)
        with pytest.raises(InputError, match=f"image {wide} {sentence}"):
            read_pixels(wide, 80, 40)
    wide.write_bytes(whole)
    with pytest.raises(InputError, match="has 80 x 40 pixels, not 40 x 80"):
        read_pixels(wide, 40, 80)
    with pytest.raises(InputError, match=r"no\.png cannot be read"):
        read_pixels(tmp_path / "no.png", 1, 1)
