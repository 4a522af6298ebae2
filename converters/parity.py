"""Compares the outputs of a .tflite with those of the torch module.

Shapes: `n` sets of inputs. A set is what a model takes in one run: one tensor per input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from .errors import ConversionError, ParityError
from .flatbuffer import TensorType
from .torch_to_tflite import silenced

Arrays = Sequence[NDArray[Any]]


@dataclass(frozen=True)
class Difference:
    """How far one output of a model is from torch's.

    `max_abs` is the largest absolute difference, infinite if an element is not finite; `largest`, torch's largest
    absolute value; `unequal`, the share of elements that differ; `rms`, the root mean square of the differences,
    divided by that of the output. `whole` marks outputs of integers, such as classes.
    """

    max_abs: float
    largest: float
    unequal: float
    rms: float
    whole: bool

    def within(self, tolerance: float) -> bool:
        """Whether `max_abs` is at most this share of `max(largest, 1)`; for integers, if at most this share differs."""
        return self.unequal <= tolerance if self.whole else self.max_abs <= tolerance * max(self.largest, 1.0)

    @classmethod
    def between(cls, expected: NDArray[Any], actual: NDArray[Any]) -> Difference:
        """The difference of two arrays of the same shape."""
        one, other = expected.astype(np.float64), actual.astype(np.float64)
        apart = np.abs(one - other)
        apart[~np.isfinite(apart)] = np.inf
        size = float(np.sqrt((one**2).mean()))
        rms = float(np.sqrt((apart**2).mean()))
        share = rms / size if size else (0.0 if rms == 0 else np.inf)
        return cls(
            float(apart.max()), float(np.abs(one).max()), float((apart > 0).mean()), share, expected.dtype.kind != "f"
        )


def differences(expected: Arrays, actual: Arrays) -> tuple[Difference, ...]:
    """Compare output by output, each `(n, *shape)`. Raises `ParityError` if number or shapes of the outputs differ."""
    if [value.shape for value in expected] != [value.shape for value in actual]:
        raise ParityError(
            f"torch gives outputs of shapes {[value.shape[1:] for value in expected]}, the model "
            f"{[value.shape[1:] for value in actual]}"
        )
    return tuple(Difference.between(*pair) for pair in zip(expected, actual, strict=True))


def check_parity(module: nn.Module, content: bytes, inputs: Tensor, atol: float, rtol: float) -> float:
    """The largest absolute difference between torch's outputs and the file's.

    Args:
        module: in eval mode, with one input and one output tensor.
        inputs: `(B, C, H, W)`; both run sample by sample, since the file has batch 1.
        atol, rtol: an element may differ by `atol + rtol * |torch|`.

    Raises:
        ParityError: an element differs by more, or is not finite; names the worst one.
        ConversionError: the file has another input shape, several inputs, or several outputs.
    """
    return _compared(
        reference_outputs(module, inputs), tflite_outputs(content, inputs.detach().cpu().numpy()), atol, rtol
    )


def _compared(expected: NDArray[Any], actual: NDArray[Any], atol: float, rtol: float) -> float:
    if expected.shape != actual.shape:
        raise ParityError(f"torch gives outputs of shape {expected.shape[1:]}, the model file {actual.shape[1:]}")
    difference = np.abs(expected.astype(np.float64) - actual)
    excess = np.where(np.isfinite(difference), difference - (atol + rtol * np.abs(expected)), np.inf)
    worst = np.unravel_index(int(excess.argmax()), excess.shape)
    if excess[worst] > 0:
        sample, *element = (int(index) for index in worst)
        raise ParityError(
            f"the model file differs from torch at output element {element} of sample {sample}: {actual[worst]:.6g} "
            f"instead of {expected[worst]:.6g} (allowed: {atol:g} + {rtol:g} x size); {int((excess > 0).sum())} of "
            f"{excess.size} elements differ"
        )
    return float(difference.max())


def reference_outputs(module: nn.Module, inputs: Tensor) -> NDArray[Any]:
    """Torch's outputs, sample by sample, `(B, ...)`."""
    with torch.no_grad():
        return np.concatenate([module(inputs[i : i + 1]).cpu().numpy() for i in range(len(inputs))])


def module_outputs(module: nn.Module, sets: Sequence[tuple[Tensor, ...]]) -> tuple[NDArray[Any], ...]:
    """All of torch's outputs for each set of inputs, `(n, *shape)` each; a single number has shape (1,).

    Raises:
        ConversionError: the module fails, returns anything but tensors, or changes their shapes.
    """
    rows = []
    with torch.no_grad():
        for inputs in sets:
            leaves = tree_leaves(_called(module, inputs))
            others = [type(leaf).__name__ for leaf in leaves if not isinstance(leaf, Tensor)]
            if others or not leaves:
                raise ConversionError(
                    f"{type(module).__name__} returns {f'a {others[0]}' if others else 'nothing'}; let it return "
                    "tensors, alone or in a tuple"
                )
            rows.append([np.atleast_1d(leaf.detach().cpu().numpy()) for leaf in leaves])
    if len({tuple(output.shape for output in row) for row in rows}) != 1:
        raise ConversionError(f"{type(module).__name__} gives outputs of different shapes for inputs of one shape")
    return tuple(np.stack(outputs) for outputs in zip(*rows, strict=True))


def _called(module: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
    try:
        return module(*inputs)
    except Exception as error:  # a module may raise anything
        reason = (str(error).strip().splitlines() or ["no message"])[0]
        raise ConversionError(
            f"{type(module).__name__} fails for inputs of shapes {[tuple(value.shape) for value in inputs]} "
            f"({type(error).__name__}: {reason})"
        ) from error


def tflite_outputs(content: bytes, inputs: NDArray[Any]) -> NDArray[Any]:
    """The outputs of a model with one input and one output and batch 1, sample by sample, `(B, ...)`.

    Raises:
        ConversionError: the model cannot be loaded, or takes another input.
    """
    interpreter = _interpreter(content)
    sources, results = interpreter.get_input_details(), interpreter.get_output_details()
    if len(sources) != 1 or len(results) != 1:
        raise ConversionError(
            f"expected one input and one output, the model file has {len(sources)} and {len(results)}"
        )
    shape = tuple(sources[0]["shape"].tolist())
    if shape != (1, *inputs.shape[1:]):
        raise ConversionError(f"the model file takes {shape}, the samples have {inputs.shape[1:]}")
    return np.concatenate([output for (output,) in _runs(interpreter, [inputs[:, None]])])


def file_outputs(content: bytes, inputs: Arrays) -> tuple[NDArray[Any], ...]:
    """All outputs of a model file for `n` sets of inputs, `(n, *shape)` each; a single number has shape (1,).

    Raises:
        ConversionError: the model cannot be loaded, or takes other inputs.
    """
    interpreter = _interpreter(content)
    try:
        runs = _runs(interpreter, inputs)
    except ValueError as error:
        raise ConversionError(f"the model file takes other inputs: {error}") from error
    return tuple(np.stack([np.atleast_1d(output) for output in outputs]) for outputs in zip(*runs, strict=True))


def file_types(content: bytes) -> tuple[tuple[TensorType, ...], tuple[TensorType, ...]]:
    """The types of a model file's inputs and outputs. Raises `ConversionError` when the model cannot be loaded."""
    interpreter = _interpreter(content)
    return _types(interpreter.get_input_details()), _types(interpreter.get_output_details())


def _types(details: Sequence[dict[str, Any]]) -> tuple[TensorType, ...]:
    return tuple(TensorType(tuple(entry["shape"].tolist()), np.dtype(entry["dtype"])) for entry in details)


def _interpreter(content: bytes) -> Any:
    with silenced():  # the runtime announces its delegate
        from ai_edge_litert.interpreter import Interpreter

        try:
            interpreter = Interpreter(model_content=content, num_threads=1)
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ConversionError(f"the runtime cannot load the model file: {error}") from error
    return interpreter


def _runs(interpreter: Any, inputs: Arrays) -> list[list[NDArray[Any]]]:
    """The outputs for each set of inputs."""
    sources, results = interpreter.get_input_details(), interpreter.get_output_details()
    outputs = []
    for values in zip(*inputs, strict=True):
        for source, value in zip(sources, values, strict=True):
            interpreter.set_tensor(source["index"], value)
        interpreter.invoke()
        outputs.append([interpreter.get_tensor(result["index"]) for result in results])
    return outputs
