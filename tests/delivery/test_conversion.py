"""What a model file can be made of, and one sentence for everything else."""

import numpy as np
import pytest
import torch
from edgewright.converters.precision import Precision
from edgewright.delivery.conversion import convert_for_delivery
from edgewright.errors import InputError, MeasurementError
from torch import nn

from tests.delivery.modules import EXAMPLE, Captioned, Wide, seeded

ONE = (torch.ones(1, 3),)


class Returning(nn.Module):
    """Returns what it was made with, as a function of its input."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x):
        return self.value(x)


def fails(x):
    raise KeyError("no such thing\nand more of it")


@pytest.mark.parametrize(
    ("module", "inputs", "sentence"),
    [
        ("a string", ONE, "only a torch module can be delivered, got a str"),
        (nn.Linear(3, 2), ONE, r"Linear is in training mode; call .eval\(\) before you deliver it"),
        (nn.Linear(3, 2, device="meta").eval(), ONE, r"Linear lies on meta; call .cpu\(\) before you deliver it"),
        (nn.Linear(3, 2).eval(), (), "must be a tuple of tensors, one for each input; got an empty one"),
        (nn.Linear(3, 2).eval(), None, "must be a tuple of tensors, one for each input; got a NoneType"),
        (nn.Linear(3, 2).eval(), (np.ones((1, 3)),), "but number 0 is a ndarray"),
        (nn.Linear(3, 2).eval(), (torch.ones(1, 3) + 0j,), "input 0 is torch.complex64, which no model on a device"),
        (nn.Linear(3, 2).eval(), (torch.ones(0, 3),), r"input 0 of shape \(0, 3\) holds no number"),
        (nn.Linear(3, 2).eval(), (torch.ones(1, 4),), r"Linear fails for inputs of shapes \[\(1, 4\)\] \(Runtim"),
        (nn.Linear(3, 2).eval(), (*ONE, *ONE), r"Linear fails for inputs of shapes .* \(TypeError: "),
        (Returning(fails).eval(), ONE, r"Returning fails for inputs .* \(KeyError: 'no such thing"),
        (Returning(lambda x: (x, "more")).eval(), ONE, "Returning returns a str; let it return tensors, alone or in a"),
        (Returning(lambda x: None).eval(), ONE, "Returning returns a NoneType; let it return tensors"),
        (Returning(lambda x: ()).eval(), ONE, "Returning returns nothing; let it return tensors"),
        (Returning(lambda x: x / 0).eval(), ONE, "Returning gives numbers that are not finite"),
        (Returning(lambda x: x + 1).eval(), (torch.tensor([1 << 40]),), "input 0 holds numbers beyond int32"),
    ],
)  # fmt: skip
def test_what_cannot_be_delivered_is_named_in_one_sentence(module, inputs, sentence):
    with pytest.raises(InputError, match=sentence) as refusal:
        convert_for_delivery(module, inputs)
    assert "\n" not in str(refusal.value)


def test_an_operation_without_a_counterpart_is_an_error_of_the_conversion():
    def depends(x):
        return x if x.sum() > 0 else -x

    with pytest.raises(MeasurementError, match="Returning cannot be converted: litert-torch could not convert"):
        convert_for_delivery(Returning(depends).eval(), ONE)


def test_a_converter_that_computes_something_else_is_told_apart_from_the_device(monkeypatch):
    """A module that changes between its answers in torch and its conversion stands in for a converter at fault."""
    module = nn.Linear(3, 2).eval()

    def spoil(sentence):
        with torch.no_grad():
            module.weight += 1

    with pytest.raises(MeasurementError, match="output 0 of its model file differs from torch's by up to .* on this"):
        convert_for_delivery(module, ONE, on_status=spoil)


def test_a_single_tensor_stands_for_a_tuple_of_one_and_wide_numbers_become_narrow_ones():
    converted = convert_for_delivery(Returning(lambda x: x * 2).eval(), torch.tensor([[1.0, 2.0]], dtype=torch.float64))
    assert [str(each) for each in converted.inputs] == ["float32 (1, 2)"]
    assert converted.reference.n == 17 and converted.content[4:8] == b"TFL3"


def test_random_inputs_stay_within_the_example(monkeypatch):
    converted = convert_for_delivery(seeded(Captioned), EXAMPLE, seed=5)
    image, ids = converted.reference.inputs
    assert image.shape == (17, 1, 3, 8, 8) and -1 <= image[1:].min() < -0.9 and 0.9 < image[1:].max() <= 1
    assert ids[1:].min() >= 0 and ids[1:].max() <= 49
    assert converted.to_json()["random_inputs_seed"] == 5


@pytest.mark.parametrize(
    ("calibration", "sentence"),
    [
        ([(torch.ones(1, 63),)], r"has shapes \[\(1, 63\)\] and types .*; the example inputs have \[\(1, 64\)\]"),
        ([(torch.ones(1, 64).long(),)], r"types \['torch.int64'\]"),
        ([torch.ones(1, 64), "more"], "a calibration set must be a tuple of tensors, .*; got a str"),
    ],
)
def test_sets_to_calibrate_on_must_be_like_the_example(calibration, sentence):
    with pytest.raises(InputError, match=sentence):
        convert_for_delivery(seeded(Wide), torch.zeros(1, 64), Precision.INT8, calibration=calibration)
