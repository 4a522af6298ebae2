import numpy as np
import pytest
from edgewright.data.pictures import PADDING, load_square, read_pixels
from edgewright.domains.detection.coco.file import DetectionImage, DetectionObject
from edgewright.errors import InputError
from PIL import Image


@pytest.fixture
def wide(tmp_path):
    """80 x 40 pixels with a white block, which is an object."""
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[10:30, 40:80] = 255
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    return DetectionImage(tmp_path / "wide.png", 80, 40, (DetectionObject("car", (40.0, 10.0, 80.0, 30.0), "white"),))


@pytest.mark.parametrize("side", [20, 80, 100])
def test_boxes_go_with_the_picture(wide, side):
    square = load_square(wide, side)
    assert square.pixels.shape == (3, side, side) and square.pixels.dtype == np.uint8
    x0, y0, x1, y1 = square.boxes[0].round().astype(int)
    inside = square.pixels[:, y0 + 1 : y1 - 1, x0 + 1 : x1 - 1]
    assert inside.min() == 255 and inside.size > 0
    assert square.pixels[:, : side // 2, : x0 - 1].max() == 0
    assert (square.pixels[:, side // 2 :] == PADDING).all()  # twice as wide as high: the lower half is empty
    assert square.to_file(square.boxes) == pytest.approx(np.array([wide.objects[0].box]))


def test_an_image_without_objects_has_no_boxes(wide):
    square = load_square(DetectionImage(wide.path, 80, 40, ()), 32)
    assert square.boxes.shape == (0, 4) and square.boxes.dtype == np.float32


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_other_kinds_of_images_become_rgb(tmp_path, mode):
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    Image.new("RGB", (8, 6), (255, 255, 255)).convert(mode).save(path)
    pixels = read_pixels(path, 8, 6)
    assert pixels.shape == (6, 8, 3) and pixels.min() > 250


def test_an_image_that_cannot_be_used_is_named(tmp_path, wide):
    whole = wide.path.read_bytes()
    for content, sentence in ((whole[:60], "cannot be read"), (b"no image", "cannot be read"), (b"", "cannot be read")):
        wide.path.write_bytes(content)
        with pytest.raises(InputError, match=f"image {wide.path} {sentence}"):
            load_square(wide, 32)
    wide.path.write_bytes(whole)
    with pytest.raises(InputError, match="has 80 x 40 pixels, not 40 x 80"):
        read_pixels(wide.path, 40, 80)
    with pytest.raises(InputError, match=r"no\.png cannot be read"):
        read_pixels(tmp_path / "no.png", 1, 1)
    with pytest.raises(InputError, match="a side of at least 1 pixel, got 0"):
        load_square(wide, 0)
