"""What a detector is taught: which anchor point is to find which object, and what counts for nothing."""

import numpy as np
import pytest
import torch
from edgewright.domains.detection.boxes import Grid
from edgewright.domains.detection.loss import assign, box_loss, detection_loss
from torchvision.ops import generalized_box_iou_loss

GRID = Grid(64, (8, 16))  # 8 x 8 anchor points at 4, 12, ..., then 4 x 4 at 8, 24, ...
N_PLACES, COARSE = 80, 64
SURE = 20.0


def boxes_of(*boxes):
    """One image's, `(1, M, 4)`."""
    return torch.tensor([boxes], dtype=torch.float64)


def every(boxes):
    return torch.ones(boxes.shape[:2], dtype=torch.bool)


def none(boxes):
    return torch.zeros(boxes.shape[:2], dtype=torch.bool)


def finding(boxes, index, categories, n_scores):
    """Outputs `(B, L, 4 + K)` that say at each anchor point exactly what `index` `(B, L)` assigns to it."""
    outputs = torch.zeros(*index.shape, 4 + n_scores, dtype=torch.float64)
    outputs[..., 4:] = -SURE
    for image, point in (index >= 0).nonzero().tolist():
        found = int(index[image, point])
        low, high, stride = boxes[image, found, :2], boxes[image, found, 2:], float(GRID.stride_of[point])
        outputs[image, point, :2] = ((low + high) / 2 - GRID.centres[point]) / stride
        outputs[image, point, 2:4] = ((high - low) / stride).log()
        outputs[image, point, 4 + categories[image][found]] = SURE
    return outputs


def labels_of(categories, n_scores):
    return torch.nn.functional.one_hot(torch.tensor(categories), n_scores)


def loss_of(outputs, boxes, categories, **changes):
    """Of one category an object; what `changes` does not say is that all are wanted and asked for, none ignored."""
    n_scores = outputs.shape[2] - 4
    arguments = {
        "eligible": every(boxes),
        "labels": labels_of(categories, n_scores),
        "asked": torch.ones(len(boxes), n_scores, dtype=torch.bool),
        "ignored": none(boxes),
    }
    return detection_loss(outputs, GRID, boxes, **{**arguments, **changes})


def places_of(box, *others, eligible=None):
    """Which anchor points find each object: lists of indices."""
    boxes = boxes_of(box, *others)
    index = assign(GRID, boxes, every(boxes) if eligible is None else torch.tensor([eligible]))[0]
    return [(index == number).nonzero()[:, 0].tolist() for number in range(1 + len(others))]


def test_four_places_around_its_middle_find_an_object():
    assert places_of((10, 10, 22, 22)) == [[1 * 8 + 1, 1 * 8 + 2, 2 * 8 + 1, 2 * 8 + 2]]  # around (16, 16)


def test_a_thin_object_is_found_by_places_outside_of_it():
    (found,) = places_of((15.5, 4, 16.5, 28))
    assert found == [9, 10, 17, 18]
    assert all(not 15.5 <= float(GRID.centres[point, 0]) <= 16.5 for point in found)


def test_an_object_on_a_place_is_found_by_that_place_alone():
    assert places_of((8, 8, 16, 16)) == [[9]]


@pytest.mark.parametrize(("length", "coarse"), [(8, False), (32, False), (32.5, True), (60, True)])
def test_larger_objects_go_to_the_coarser_level(length, coarse):
    (found,) = places_of((32 - length / 2, 28, 32 + length / 2, 36))
    assert len(found) == 4 and all((point >= COARSE) == coarse for point in found)


def test_levels_leave_no_object_out_and_share_none():
    for length in np.linspace(1, 64, 40):
        (found,) = places_of((30 - length / 2, 29, 30 + length / 2, 35))
        assert found and len({point >= COARSE for point in found}) == 1


def test_of_two_objects_in_one_place_the_smaller_is_found():
    large, small = (6, 6, 26, 26), (12, 12, 20, 20)
    assert places_of(large, small) == [[], [9, 10, 17, 18]]
    assert places_of(small, large) == [[9, 10, 17, 18], []]
    assert places_of(large, small, eligible=[True, False]) == [[9, 10, 17, 18], []]


def test_room_for_objects_that_are_not_there_is_found_by_nobody():
    boxes = torch.zeros(1, 3, 4, dtype=torch.float64)
    assert (assign(GRID, boxes, none(boxes)) == -1).all()


def test_the_loss_of_boxes_and_its_gradient_are_torchvision_s():
    """To the last bit: near ones, far ones, one within the other, equal and empty ones."""
    generator = torch.Generator().manual_seed(0)
    low, size = 40 * torch.rand(2, 500, 2, generator=generator), 30 * torch.rand(2, 500, 2, generator=generator)
    one, other = torch.cat([low, low + size], 2)
    other[:10], other[10:20, 2:] = one[:10], other[10:20, :2]
    found = []
    for loss in (box_loss, generalized_box_iou_loss):
        boxes = one.clone().requires_grad_()
        values = loss(boxes, other)
        values.sum().backward()
        found.append((values.detach(), boxes.grad))
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1][10:], found[1][1][10:])
    assert (found[0][0] > 1).any() and (found[0][0] < 0.5).any()


def test_saying_exactly_what_is_there_costs_nothing():
    boxes, categories = boxes_of((10, 10, 22, 22), (4, 30, 60, 62)), [[0, 1]]
    outputs = finding(boxes, assign(GRID, boxes, every(boxes)), categories, n_scores=2)
    perfect = loss_of(outputs, boxes, categories)
    assert perfect.total < 1e-6 and perfect.overlap == pytest.approx(1.0)
    silent = outputs.clone()
    silent[..., 4:] = -SURE
    assert loss_of(silent, boxes, categories).total > 1
    misplaced = outputs.clone()
    misplaced[..., 0] += 0.5
    shifted = loss_of(misplaced, boxes, categories)
    assert shifted.total > 0.3 and shifted.overlap < 0.9


def test_an_empty_image_is_one_to_be_silent_on():
    boxes = torch.zeros(1, 2, 4, dtype=torch.float64)
    outputs = finding(boxes, torch.full((1, N_PLACES), -1), [[0, 0]], n_scores=2)
    assert loss_of(outputs, boxes, [[0, 0]], eligible=none(boxes)).total < 1e-6
    outputs[0, 7, 4] = SURE
    assert loss_of(outputs, boxes, [[0, 0]], eligible=none(boxes)).total > 1


def test_following_the_gradient_finds_the_object():
    boxes, categories = boxes_of((9, 12, 21, 26)), [[1]]
    outputs = torch.zeros(1, N_PLACES, 6, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([outputs], 0.1)
    before = loss_of(outputs, boxes, categories).total.item()
    for _ in range(200):
        optimizer.zero_grad()
        loss = loss_of(outputs, boxes, categories)
        loss.total.backward()
        optimizer.step()
    assert loss.total.item() < before / 20 and loss.overlap > 0.9


def gradient(boxes, categories, **changes):
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(len(boxes), N_PLACES, 6, generator=generator, dtype=torch.float64).requires_grad_()
    loss_of(outputs, boxes, categories, **changes).total.backward()
    return outputs.grad


def test_a_category_that_is_not_asked_for_is_not_taught():
    boxes = boxes_of((10, 10, 22, 22))
    found = gradient(boxes, [[0]], asked=torch.tensor([[True, False]]))
    assert (found[..., 5] == 0).all() and (found[..., 4] != 0).all()
    assert (gradient(boxes, [[0]])[..., 5] != 0).all()


def test_places_in_an_ignored_region_are_not_taught_unless_they_hold_an_object():
    boxes = boxes_of((0, 0, 32, 32), (10, 10, 22, 22))
    found = gradient(boxes, [[0, 0]], eligible=torch.tensor([[False, True]]), ignored=torch.tensor([[True, False]]))
    middles = GRID.centres
    covered = (middles <= 32).all(1)
    holding = torch.isin(torch.arange(N_PLACES), torch.tensor([9, 10, 17, 18]))
    assert covered.sum() == 16 + 4
    assert (found[0, covered & ~holding] == 0).all()
    assert (found[0, holding][:, 4:] != 0).all() and (found[0, ~covered][:, 4:] != 0).all()


def test_boxes_are_taught_only_where_an_object_is():
    found = gradient(boxes_of((10, 10, 22, 22)), [[0]])[0, :, :4]
    assert found.abs().sum(1).nonzero()[:, 0].tolist() == [9, 10, 17, 18]


def test_a_samples_loss_does_not_depend_on_the_others():
    boxes = torch.cat([boxes_of((10, 10, 22, 22), (0, 0, 0, 0)), boxes_of((4, 30, 60, 62), (40, 8, 52, 16))])
    eligible, categories = torch.tensor([[True, False], [True, True]]), [[0, 0], [1, 0]]
    outputs = torch.randn(2, N_PLACES, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    both = loss_of(outputs, boxes, categories, eligible=eligible).total
    parts = (slice(0, 1), slice(1, 2))
    alone = [loss_of(outputs[part], boxes[part], categories[part], eligible=eligible[part]).total for part in parts]
    assert both.item() == pytest.approx((alone[0] + alone[1]).item() / 2)


def test_the_number_of_objects_does_not_make_a_sample_heavier():
    """Two objects overlooked cost what one costs."""
    one, two = boxes_of((10, 10, 22, 22)), boxes_of((10, 10, 22, 22), (42, 42, 54, 54))
    outputs = [finding(each, assign(GRID, each, every(each)), [[0, 0]], 1) for each in (one, two)]
    for each in outputs:
        each[..., 4:] = -SURE
    first, second = (loss_of(outputs[k], boxes, [[0] * (k + 1)]).total.item() for k, boxes in enumerate((one, two)))
    assert first == pytest.approx(second, rel=1e-6)
