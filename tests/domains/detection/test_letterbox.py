import numpy as np
import pytest
from edgewright.domains.detection.letterbox import PADDING, load_letterboxed
from edgewright.domains.detection.objects import DetectionImage, DetectionObject
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
    boxed = load_letterboxed(wide, side)
    assert boxed.pixels.shape == (3, side, side) and boxed.pixels.dtype == np.uint8
    x0, y0, x1, y1 = boxed.boxes[0].round().astype(int)
    inside = boxed.pixels[:, y0 + 1 : y1 - 1, x0 + 1 : x1 - 1]
    assert inside.min() == 255 and inside.size > 0
    assert boxed.pixels[:, : side // 2, : x0 - 1].max() == 0
    assert (boxed.pixels[:, side // 2 :] == PADDING).all()  # twice as wide as high: the lower half is empty
    assert boxed.to_file(boxed.boxes) == pytest.approx(np.array([wide.objects[0].box]))


def test_an_image_without_objects_has_no_boxes(wide):
    boxed = load_letterboxed(DetectionImage(wide.path, 80, 40, ()), 32)
    assert boxed.boxes.shape == (0, 4) and boxed.boxes.dtype == np.float32


def test_a_square_needs_a_side(wide):
    with pytest.raises(InputError, match="a side of at least 1 pixel, got 0"):
        load_letterboxed(wide, 0)
