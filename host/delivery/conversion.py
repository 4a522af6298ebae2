"""Converts a torch module to a model file of the requested precision, and keeps what torch computes for comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from edgewright.converters.errors import ConversionError
from edgewright.converters.flatbuffer import TensorType
from edgewright.converters.parity import Difference, differences, file_outputs, file_types, module_outputs
from edgewright.converters.precision import Precision
from edgewright.converters.torch_to_tflite import convert_module
from numpy.typing import NDArray
from torch import nn

from ..errors import InputError, MeasurementError
from ..tasks.domain import Examples
from .quantization import quantized
from .reference import N_DRAWN, Inputs, Reference, checked_inputs, drawn_like, stacked
from .verification import PARITY_TOLERANCE


@dataclass(frozen=True)
class Converted:
    """A model file of the module `name`, with the `reference` it is judged by.

    `float32_bytes` is its size before it was quantised, `n_calibration` the number of sets of inputs that an int8 model
    was calibrated on, and `seed` that of the random inputs.
    """

    name: str
    content: bytes
    precision: Precision
    float32_bytes: int
    reference: Reference
    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]
    n_calibration: int = 0
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """What the model takes and gives, and what int8 was calibrated on."""
        described = {"inputs": [_described(each) for each in self.inputs],
                     "outputs": [_described(each) for each in self.outputs]}  # fmt: skip
        calibration = {"calibration": {"n_samples": self.n_calibration}} if self.n_calibration else {}
        return {"signature": described, "random_inputs_seed": self.seed, **calibration}


def _described(tensor: TensorType) -> dict[str, Any]:
    return {"shape": list(tensor.shape), "dtype": tensor.dtype.name}


def convert_for_delivery(
    module: nn.Module,
    example_inputs: object,
    precision: Precision = Precision.FLOAT32,
    *,
    calibration: Sequence[object] | None = None,
    score: Examples | None = None,
    seed: int = 0,
    on_status: Callable[[str], None] = lambda sentence: None,
) -> Converted:
    """The module as a model file that computes on this machine what torch does.

    Args:
        module: in eval mode, on the CPU.
        example_inputs: a tuple of tensors, one for each input, in the shapes that the model keeps.
        calibration: sets of inputs that int8 is calibrated on; the example inputs alone where None.
        score: test images of a model with one image as its input; the device is compared with torch on them alone.
        seed: of the random inputs on which, beside the example inputs, the device is compared with torch. An int8
            model is compared on what it was calibrated on.

    Raises:
        InputError: a module or inputs that no model file can be made of.
        MeasurementError: the module cannot be converted or quantised, or the file computes different outputs.
    """
    example = checked_inputs(example_inputs)
    name = _checked_name(module)
    given = [example] if not calibration else [_like(example, values) for values in calibration]
    rng = np.random.default_rng(seed)
    sets = given if precision is Precision.INT8 else [example, *drawn_like(example, N_DRAWN, rng)]
    expected = _in_torch(module, sets)
    on_status(f"converting {name} (a few seconds)")
    try:
        float32 = convert_module(module, example)
        takes, gives = file_types(float32)
        inputs = _cast(stacked(sets), takes)
        _check_file(differences(expected, file_outputs(float32, inputs)))
    except ConversionError as error:
        raise MeasurementError(f"{name} cannot be converted: {error}") from error
    content = quantized(float32, precision, inputs)
    n_calibration = len(given) if precision is Precision.INT8 else 0
    reference = Reference(inputs, expected) if score is None else _of_images(module, takes, gives, score)
    return Converted(name, content, precision, len(float32), reference, takes, gives, n_calibration, seed)


def _checked_name(module: object) -> str:
    """The module's name. Raises `InputError` if it cannot be converted as it is."""
    if not isinstance(module, nn.Module):
        raise InputError(f"only a torch module can be delivered, got a {type(module).__name__}")
    name = type(module).__name__
    if any(part.training for part in module.modules()):
        raise InputError(f"{name} is in training mode; call .eval() before you deliver it")
    elsewhere = {str(value.device) for value in (*module.parameters(), *module.buffers())} - {"cpu"}
    if elsewhere:
        raise InputError(f"{name} lies on {', '.join(sorted(elsewhere))}; call .cpu() before you deliver it")
    return name


def _like(example: Inputs, values: object) -> Inputs:
    """A calibration set. Raises `InputError` if it is not a set of inputs like the example."""
    given = checked_inputs(values, "a calibration set")
    if [(each.shape, each.dtype) for each in given] != [(each.shape, each.dtype) for each in example]:
        raise InputError(
            f"a calibration set has shapes {[tuple(each.shape) for each in given]} and types "
            f"{[str(each.dtype) for each in given]}; the example inputs have {[tuple(each.shape) for each in example]} "
            f"and {[str(each.dtype) for each in example]}"
        )
    return given


def _in_torch(module: nn.Module, sets: Sequence[Inputs]) -> tuple[NDArray[Any], ...]:
    try:
        outputs = module_outputs(module, sets)
    except ConversionError as error:
        raise InputError(str(error)) from error
    if any(value.dtype.kind == "f" and not np.isfinite(value).all() for value in outputs):
        raise InputError(f"{type(module).__name__} gives numbers that are not finite, so there is nothing to compare")
    return outputs


def _cast(inputs: Sequence[NDArray[Any]], takes: Sequence[TensorType]) -> tuple[NDArray[Any], ...]:
    """In the types of the model file, which has no numbers of 64 bits. Raises `InputError` where one does not fit."""
    cast = tuple(values.astype(each.dtype) for values, each in zip(inputs, takes, strict=True))
    for index, (values, narrow) in enumerate(zip(inputs, cast, strict=True)):
        if values.dtype.kind in "iu" and not np.array_equal(values, narrow):
            raise InputError(f"input {index} holds numbers beyond {narrow.dtype.name}, which the model takes")
    return cast


def _check_file(apart: Sequence[Difference]) -> None:
    for index, each in enumerate(apart):
        if not each.within(PARITY_TOLERANCE[Precision.FLOAT32]):
            raise ConversionError(
                f"output {index} of its model file differs from torch's by up to {each.max_abs:.3g} on this machine "
                f"(largest element {each.largest:.3g}); compute it in another way, or try another litert-torch"
            )


def _of_images(
    module: nn.Module, takes: Sequence[TensorType], gives: Sequence[TensorType], score: Examples
) -> Reference:
    if len(gives) != 1:
        raise InputError(f"a score is of one output, and the model has {len(gives)}")
    if len(takes) != 1 or takes[0].shape != (1, *score.images.shape[1:]) or takes[0].dtype != np.float32:
        raise InputError(
            f"a score is of images of shape {score.images.shape[1:]}, one at a time; the model takes "
            f"{', '.join(map(str, takes))}"
        )
    return Reference.of_images(module, score.images)
