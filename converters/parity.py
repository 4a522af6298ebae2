"""Does a .tflite compute what the torch module computes?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .errors import ConversionError, ParityError
from .torch_to_tflite import silenced


def check_parity(module: nn.Module, content: bytes, inputs: Tensor, atol: float, rtol: float) -> float:
    """The largest absolute difference between torch's outputs and the file's.

    Args:
        module: in eval mode, with one input and one output tensor.
        inputs: `(B, C, H, W)`; both run sample by sample, as the file has batch 1.
        atol, rtol: allowed is `atol + rtol * |torch|` per element.

    Raises:
        ParityError: an element differs by more, or is not finite; names the worst one.
        ConversionError: the file has another input shape, several inputs, or several outputs.
    """
    expected = reference_outputs(module, inputs)
    actual = tflite_outputs(content, inputs.detach().cpu().numpy())
    if expected.shape != actual.shape:
        raise ParityError(f"torch gives outputs of shape {expected.shape[1:]}, the model file {actual.shape[1:]}")
    difference = np.abs(expected.astype(np.float64) - actual)
    excess = np.where(np.isfinite(difference), difference - (atol + rtol * np.abs(expected)), np.inf)
    worst = np.unravel_index(int(excess.argmax()), excess.shape)
    if excess[worst] > 0:
        sample, *element = (int(place) for place in worst)
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


def tflite_outputs(content: bytes, inputs: NDArray[Any]) -> NDArray[Any]:
    """The outputs of a model with one input and one output and batch 1, sample by sample, `(B, ...)`.

    Raises:
        ConversionError: the model cannot be loaded, or takes another input.
    """
    with silenced():  # the runtime announces its delegate
        from ai_edge_litert.interpreter import Interpreter

        try:
            interpreter = Interpreter(model_content=content, num_threads=1)
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ConversionError(f"the runtime does not load the model file: {error}") from error
    sources, results = interpreter.get_input_details(), interpreter.get_output_details()
    if len(sources) != 1 or len(results) != 1:
        raise ConversionError(
            f"expected one input and one output, the model file has {len(sources)} and {len(results)}"
        )
    shape = tuple(sources[0]["shape"].tolist())
    if shape != (1, *inputs.shape[1:]):
        raise ConversionError(f"the model file takes {shape}, the samples have {inputs.shape[1:]}")
    outputs = []
    for i in range(len(inputs)):
        interpreter.set_tensor(sources[0]["index"], inputs[i : i + 1])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(results[0]["index"]))
    return np.concatenate(outputs)
