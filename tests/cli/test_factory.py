"""What the function that makes a module for delivery may return."""

import pytest
import torch
from edgewright.cli.factory import make_module
from edgewright.errors import InputError

CODE = """
import torch
from torch import nn

def plain():
    return nn.Linear(3, 2).eval(), (torch.zeros(1, 3),)

def calibrated():
    return *plain(), [(torch.ones(1, 3),)] * 3

def number():
    return 3

def four():
    return 1, 2, 3, 4

def text_first():
    return "module", (torch.zeros(1, 3),)

def number_last():
    return *plain(), 5
"""


@pytest.fixture
def made(tmp_path):
    (tmp_path / "user.py").write_text(CODE)
    return lambda name: make_module(f"{tmp_path / 'user.py'}:{name}")


def test_a_module_its_example_inputs_and_sets_to_calibrate_on(made):
    plain = made("plain")
    assert isinstance(plain.module, torch.nn.Linear) and plain.calibration is None
    assert [tuple(value.shape) for value in plain.example_inputs] == [(1, 3)]
    assert len(made("calibrated").calibration) == 3


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("number", "user.py:number must return a torch module and a tuple of example inputs, .*; it returned a int"),
        ("four", "it returned 4 values"),
        ("text_first", "the first value it returned is a str"),
        ("number_last", "the third value it returned is a int, not a list"),
    ],
)
def test_anything_else_is_one_sentence(made, name, sentence):
    with pytest.raises(InputError, match=sentence):
        made(name)
