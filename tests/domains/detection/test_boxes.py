"""What a detector's raw numbers mean: where its anchor points are, and which boxes its outputs are."""

import numpy as np
import pytest
import torch
from edgewright.domains.detection.boxes import Grid, decode
from edgewright.errors import InputError

GRID = Grid(16, (4, 8))  # 4 x 4 anchor points, then 2 x 2
SURE, EMPTY = 5.0, -9.0


def silent(n_images=1, n_scores=2):
    """Outputs `(B, L, 4 + K)` that find nothing."""
    outputs = np.zeros((n_images, 20, 4 + n_scores), np.float32)
    outputs[..., 4:] = EMPTY
    return outputs


def test_places_are_the_middles_of_cells_level_by_level_and_row_by_row():
    centres = GRID.centres.tolist()
    assert centres[:5] == [[2, 2], [6, 2], [10, 2], [14, 2], [2, 6]]
    assert centres[16:] == [[4, 4], [12, 4], [4, 12], [12, 12]]
    assert GRID.stride_of.tolist() == [4] * 16 + [8] * 4


def test_numbers_are_offsets_and_logarithms_in_strides():
    raw = torch.zeros(1, 20, 4)
    raw[0, 5] = torch.tensor([0.5, -0.25, np.log(2), np.log(0.5)])  # anchor point (6, 6) of stride 4
    raw[0, 18] = torch.tensor([0.0, 0.0, np.log(0.5), 0.0])  # anchor point (4, 12) of stride 8
    boxes = GRID.boxes(raw)[0]
    assert boxes[5].tolist() == pytest.approx([8 - 4, 5 - 1, 8 + 4, 5 + 1])
    assert boxes[18].tolist() == pytest.approx([2, 8, 6, 16])
    assert boxes[0].tolist() == [0, 0, 4, 4]


def test_an_output_that_means_one_box_is_that_box():
    outputs = silent(n_images=2)
    outputs[1, 17] = [0.25, 0.5, np.log(0.5), np.log(0.75), EMPTY, SURE]  # anchor point (12, 4) of stride 8
    nothing, one = decode(outputs, GRID, (0, 1))
    assert len(nothing) == 0 and nothing.boxes.shape == (0, 4)
    assert one.boxes[0] == pytest.approx([14 - 2, 8 - 3, 14 + 2, 8 + 3])
    assert one.categories.tolist() == [1] and one.scores[0] == pytest.approx(1 / (1 + np.exp(-SURE)))


def test_boxes_end_where_the_image_does():
    outputs = silent()
    outputs[0, 0] = [0, 0, np.log(100), 1000.0, SURE, EMPTY]  # beyond all measure, and still a number
    assert decode(outputs, GRID, (0,))[0].boxes.tolist() == [[0, 0, 16, 16]]


def test_only_asked_categories_and_sure_enough_boxes_count():
    outputs = silent(n_scores=3)
    outputs[0, 0, 4:] = [SURE, EMPTY, 0.0]
    assert decode(outputs, GRID, (2, 0))[0].categories.tolist() == [0, 2]  # the surest first
    assert decode(outputs, GRID, (1,))[0].categories.tolist() == []
    assert decode(outputs, GRID, (0, 2), min_score=0.5)[0].categories.tolist() == [0]


def test_of_boxes_on_each_other_the_surest_of_each_category_stays():
    outputs = silent()
    outputs[0, 5, 4:] = [SURE, EMPTY]
    outputs[0, 6] = [-0.9, 0, 0, 0, SURE - 1, SURE - 2]  # a stride to the right, its box nearly all the way back
    outputs[0, 10, 4:] = [SURE - 3, EMPTY]  # elsewhere
    found = decode(outputs, GRID, (0, 1))[0]
    assert found.categories.tolist() == [0, 1, 0]
    assert found.boxes[:, 0] == pytest.approx([4, 4.4, 8])
    assert (np.diff(found.scores) < 0).all()


@pytest.mark.parametrize("shape", [(20, 6), (1, 16, 6), (1, 20, 5)])
def test_outputs_of_another_detector_are_refused(shape):
    sentence = r"are not those of a detector with 20 anchor points \(side 16, strides \[4, 8\]\)"
    with pytest.raises(InputError, match=sentence):
        decode(np.zeros(shape, np.float32), GRID, (0, 1))


def test_who_asks_for_nothing_finds_nothing():
    outputs = silent()
    outputs[..., 4:] = SURE
    assert len(decode(outputs, GRID, ())[0]) == 0


@pytest.mark.parametrize(("side", "strides"), [(20, (8,)), (16, ()), (16, (0,)), (16, (-4,)), (0, (8,))])
def test_a_grid_that_cannot_be(side, strides):
    with pytest.raises(InputError, match=f"a side of {side} pixels is no multiple of the strides"):
        Grid(side, strides)
