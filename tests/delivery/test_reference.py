import numpy as np
import pytest
import torch
from edgewright.delivery.reference import Reference, checked_inputs, drawn_like, stacked
from edgewright.errors import InputError


def test_drawn_inputs_have_the_examples_types_shapes_and_range():
    example = (
        torch.tensor([[0.5, 2.0]]), torch.tensor([3, 9]), torch.tensor([True, False]), torch.tensor(7.0),
        torch.tensor([0.5, 1.0], dtype=torch.float16), torch.tensor([4], dtype=torch.uint8),
    )  # fmt: skip
    sets = drawn_like(example, 200, np.random.default_rng(0))
    assert all([(v.shape, v.dtype) for v in values] == [(v.shape, v.dtype) for v in example] for values in sets)
    floats, ids, flags, constant, halves, same = stacked(sets)
    assert 0.5 <= floats.min() < 0.6 and 1.9 < floats.max() <= 2.0
    assert set(ids.ravel().tolist()) == set(range(3, 10))
    assert flags.any() and not flags.all()
    assert abs(constant.mean() - 7) < 0.3 and 0.8 < constant.std() < 1.2, "noise around a constant"
    assert halves.min() >= 0.5 and halves.max() <= 1.0
    assert set(same.ravel().tolist()) == {4}


def test_example_inputs_are_copied():
    mine = torch.zeros(2)
    (copied,) = checked_inputs((mine,))
    mine += 1
    assert copied.tolist() == [0, 0]


def test_a_reference_of_images_is_one_image_at_a_time():
    images = np.arange(12, dtype=np.float32).reshape(3, 1, 2, 2)
    reference = Reference.of_images(torch.nn.Flatten(), images)
    assert reference.n == 3
    assert reference.inputs[0].shape == (3, 1, 1, 2, 2) and reference.outputs[0].shape == (3, 1, 4)
    np.testing.assert_array_equal(reference.outputs[0].ravel(), images.ravel())


@pytest.mark.parametrize(("n_inputs", "n_outputs"), [(0, 0), (3, 2)])
def test_a_reference_has_an_output_for_every_input(n_inputs, n_outputs):
    with pytest.raises(InputError, match="as many sets of inputs as of outputs, got lengths"):
        Reference((np.zeros((n_inputs, 1)),), (np.zeros((n_outputs, 1)),))
