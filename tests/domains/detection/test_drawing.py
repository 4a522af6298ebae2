"""Pictures with boxes: frames where objects are, labels that stay within the picture and can be read."""

import numpy as np
import pytest
from edgewright.domains.detection.drawing import LabelledBox, draw_boxes, write_png
from edgewright.errors import StorageError
from PIL import Image

BLACK = np.zeros((600, 800, 3), np.uint8)


@pytest.fixture(scope="module", params=["china.jpg", "flower.jpg"])
def photograph(request):
    """`(427, 640, 3)`, from scikit-learn."""
    from sklearn.datasets import load_sample_image

    return np.array(load_sample_image(request.param))


def drawn_area(picture):
    """x0, y0, x1, y1 of all that is not black."""
    rows, columns = np.flatnonzero(picture.any((1, 2))), np.flatnonzero(picture.any((0, 2)))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def test_without_boxes_a_picture_stays_as_it_is():
    picture = np.random.default_rng(0).integers(0, 256, (500, 480, 3), np.uint8)
    assert (draw_boxes(picture, []) == picture).all()


def test_a_frame_is_around_the_object_and_the_label_above():
    x0, y0, x1, y1 = drawn_area(draw_boxes(BLACK, [LabelledBox((300, 200, 500, 400), "car 0.93", 0)]))
    assert (x0, x1, y1) == (300, 500, 400) and 160 < y0 < 190


def test_a_photograph_changes_only_where_frames_and_labels_are(photograph):
    before = photograph.copy()
    drawn = draw_boxes(photograph, [LabelledBox((100, 100, 300, 250), "flower 0.71", 3)])
    assert (photograph == before).all()
    changed = (drawn != photograph).any(2)  # (H, W)
    frame = np.zeros_like(changed)
    frame[100:250, 100:300] = True
    frame[103:247, 103:297] = False
    label = np.zeros_like(changed)
    label[66:100, 100:260] = True
    assert not changed[~(frame | label)].any() and changed[frame].mean() > 0.95
    assert (drawn[frame & changed] == [0x3C, 0xB4, 0x4B]).all()


def test_the_first_box_is_drawn_over_the_others_and_labels_over_all_frames(photograph):
    one, other = LabelledBox((100, 100, 300, 250), "first", 0), LabelledBox((100, 100, 300, 250), "second", 2)
    red, blue = ((draw_boxes(photograph, boxes) == [0xE6, 0x19, 0x4B]).all(2) for boxes in ([one, other], [other, one]))
    assert red[100:250, 100].all() and not blue[100:250, 100].any()
    crossing = LabelledBox((90, 60, 400, 90), "", 2)  # its lower edge runs through the first one's label
    alone, both = draw_boxes(photograph, [one]), draw_boxes(photograph, [one, crossing])
    assert (both[70:98, 102:130] == alone[70:98, 102:130]).all()


@pytest.mark.parametrize(
    "box", [(0, 0, 800, 600), (780, 590, 800, 600), (-5, -5, 3, 3), (790, 0, 800, 600), (400, 300, 400, 300)]
)
def test_labels_stay_within_the_picture(box):
    drawn = draw_boxes(BLACK, [LabelledBox(box, "motorcycle 0.93", 2)])
    assert drawn.shape == BLACK.shape
    ground = (drawn == [0x43, 0x63, 0xD8]).all(2)
    assert ground.sum() > 1500 and ((drawn > 250).all(2)).sum() > 100  # a whole label, with its letters


def test_a_small_picture_is_enlarged_by_a_whole_number_and_a_large_one_is_not():
    assert draw_boxes(BLACK[:96, :64], []).shape == (480, 320, 3)
    assert draw_boxes(BLACK[:100, :50], []).shape == (500, 250, 3)
    assert draw_boxes(BLACK, []).shape == BLACK.shape
    x0, _, x1, y1 = drawn_area(draw_boxes(BLACK[:96, :96], [LabelledBox((40, 40, 90, 90), "1", 0)]))
    assert (x0, x1, y1) == (200, 450, 450)


def test_lines_and_labels_grow_with_the_picture():
    box = LabelledBox((1000, 1000, 3000, 2000), "car", 0)
    large = draw_boxes(np.zeros((3000, 4000, 3), np.uint8), [box])
    frame = large[1500, 990:1100].any(1).sum()
    assert 12 < frame < 24
    assert 1000 - drawn_area(large)[1] > 80


def test_categories_have_colours_of_their_own_and_ink_that_shows_on_them():
    for kind in range(9):
        drawn = draw_boxes(BLACK, [LabelledBox((300, 200, 500, 400), "car", kind)])
        ground = drawn[300, 300].astype(int)  # of the frame
        label = drawn[175:199, 302:340].reshape(-1, 3).astype(int)
        assert abs(label - ground).sum(1).max() > 240
    colours = {tuple(draw_boxes(BLACK, [LabelledBox((300, 200, 500, 400), "", k)])[300, 300]) for k in range(8)}
    assert len(colours) == 8


def test_a_picture_is_written_whole_or_not_at_all(tmp_path):
    write_png(tmp_path / "new" / "a.png", BLACK[:4, :4])
    with Image.open(tmp_path / "new" / "a.png") as image:
        assert image.format == "PNG" and image.size == (4, 4)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="a file is in the way"):
        write_png(tmp_path / "file" / "a.png", BLACK[:4, :4])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]
