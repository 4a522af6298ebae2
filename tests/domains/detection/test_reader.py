"""A delivered detector's outputs as boxes on a photograph. On a real agent: tests/delivery/test_prediction.py."""

import numpy as np
import pytest
from edgewright.domains.detection.reader import BoxReader
from PIL import Image
from sklearn.datasets import load_sample_image

SAYS = {"categories": ["car", "person", "flower"], "asked": [0, 2], "side": 64, "strides": [16]}


@pytest.fixture
def photograph(tmp_path):
    """640 x 427 pixels, so that one letterboxed pixel is ten of the file."""
    path = tmp_path / "flower.png"
    Image.fromarray(load_sample_image("flower.jpg")).save(path)
    return path


def says(*found):
    """A model that finds boxes of one stride's size: pairs of anchor point and score `(1, 16, 4 + 3)`."""

    def run(images):
        outputs = np.full((len(images), 16, 7), -9.0, np.float32)
        outputs[..., :4] = 0.0
        for point, category, logit in found:
            outputs[:, point, 4 + category] = logit
        return outputs

    return run


def test_boxes_are_in_the_files_pixels_the_surest_first(photograph):
    (found,) = BoxReader.of(SAYS).predict([photograph], says((0, 2, 1.0), (5, 0, 3.0), (6, 1, 9.0)), 0.3)
    assert [(each.category, each.index) for each in found.boxes] == [("car", 0), ("flower", 2)]  # nobody asked: person
    assert found.boxes[0].box == pytest.approx((160, 159, 320, 318), abs=1.5)
    assert found.boxes[1].score == pytest.approx(1 / (1 + np.exp(-1)))
    assert found.picture.shape == (427, 640, 3)


def test_people_and_programs_are_told(photograph):
    reader = BoxReader.of(SAYS)
    (one,) = reader.predict([photograph], says((5, 0, 3.0)), 0.3)
    assert one.sentence == "1 object" and one.rows[0] == ["category", "score", "x0", "y0", "x1", "y1"]
    assert one.rows[1][:2] == ["car", "0.95"] and one.to_json()["boxes"][0]["category"] == "car"
    (none,) = reader.predict([photograph], says(), 0.3)
    assert none.sentence == "nothing with a score above 0.3" and none.rows == []


def test_boxes_are_drawn_on_the_photograph_they_are_about(photograph, tmp_path):
    reader = BoxReader.of(SAYS)
    assert reader.draws
    (found,) = reader.predict([photograph], says((5, 0, 3.0)), 0.3)
    found.draw(tmp_path / "drawn.png")
    with Image.open(tmp_path / "drawn.png") as drawn:
        pixels = np.asarray(drawn)
    changed = (pixels != found.picture).any(2)  # (H, W)
    assert pixels.shape == found.picture.shape and 0 < changed.mean() < 0.1
    x0, y0, x1, y1 = (round(value) for value in found.boxes[0].box)
    assert changed[y0, x0 + 5 : x1 - 5].all() and not changed[y0 + 20 : y1 - 20, x0 + 20 : x1 - 20].any()


@pytest.mark.parametrize(
    "changes", [{"asked": []}, {"asked": [3]}, {"asked": None}, {"categories": None}, {"strides": None}]
)
def test_a_description_that_lacks_something_is_refused(changes):
    with pytest.raises((KeyError, TypeError, ValueError)):
        BoxReader.of({**SAYS, **changes})
