"""Quantises a float32 .tflite to float16 or int8 with LiteRT's own quantiser."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import ConversionError
from .flatbuffer import Graph, inlined
from .precision import Precision
from .torch_to_tflite import silenced

if TYPE_CHECKING:
    from ai_edge_quantizer.recipe_manager import RecipeManager

_EVERYWHERE = ".*"
_PADDING = 3e38  # ignores a max-pool's padding, the lowest float, as the quantiser does
_UNQUANTISED_TYPES = (0, 2, 4, 6)  # TensorType FLOAT32, INT32, INT64 and BOOL


Calibration = NDArray[Any] | Sequence[NDArray[Any]]


def quantize(content: bytes, precision: Precision, calibration: Calibration | None = None) -> bytes:
    """The same model in a smaller number format; inputs and outputs keep their types. Equal arguments give equal bytes.

    Args:
        content: a float32 .tflite.
        calibration: for int8, `n` samples as one array `(n, *shape)` per input, or `(n, C, H, W)` for the only input of
            a model with batch 1; they determine the range of every activation.

    Raises:
        ConversionError: the model is not float32, int8 lacks samples that fit, or the quantiser fails.
    """
    if precision is Precision.FLOAT32:
        return content
    graph = Graph(content)
    if any(graph.dtype(tensor) not in _UNQUANTISED_TYPES for tensor in range(graph.n_tensors)):
        raise ConversionError(f"only a float32 model can be made {precision}, and this one is quantised already")
    graph.name_tensors_apart()  # the quantiser identifies tensors by name
    named = graph.pack(())
    samples = _checked(graph, calibration) if precision is Precision.INT8 else None
    with silenced():  # warnings of the runtime
        try:
            return inlined(bytes(_quantized(named, samples)))
        except Exception as error:  # the quantiser promises no type
            reason = (str(error).strip().splitlines() or ["no message"])[0]
            raise ConversionError(
                f"LiteRT's quantiser could not make the model {precision} ({type(error).__name__}: {reason})"
            ) from error


def _checked(graph: Graph, calibration: Calibration | None) -> tuple[NDArray[Any], ...]:
    """The samples, `(n, *shape)` per input, in the types of the inputs. Raises `ConversionError`."""
    if calibration is None or not len(calibration) or not all(len(values) for values in calibration):
        raise ConversionError("int8 needs samples to calibrate on, enough to cover the model's usual inputs; got none")
    takes = graph.inputs
    samples = [calibration[:, None]] if isinstance(calibration, np.ndarray) else list(calibration)
    if len(samples) != len(takes) or len({len(values) for values in samples}) != 1:
        raise ConversionError(
            f"samples to calibrate on must hold the same number of values for each of the model's {len(takes)} inputs, "
            f"got {[len(values) for values in samples]}"
        )
    for each, values in zip(takes, samples, strict=True):
        if values.shape[1:] != each.shape:
            raise ConversionError(f"samples to calibrate on must have shape {each.shape}, got {values.shape[1:]}")
        if not np.isfinite(values).all():
            raise ConversionError("the samples to calibrate on hold numbers that are not finite")
    return tuple(values.astype(each.dtype, copy=False) for each, values in zip(takes, samples, strict=True))


def _quantized(content: bytes, calibration: Sequence[NDArray[Any]] | None) -> Any:
    """Quantise to int8 with samples, to float16 without."""
    from ai_edge_quantizer.quantizer import Quantizer  # takes a third of a second to import

    recipe = _int8_recipe() if calibration is not None else _float16_recipe()
    ranges = None if calibration is None else _ranges(content, recipe, calibration)
    quantizer = Quantizer(content, recipe.get_quantization_recipe())
    result = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return result.quantized_model


def _float16_recipe() -> RecipeManager:
    """Stores weights in half precision and widens them where they are used."""
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.recipe_manager import RecipeManager

    half = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
    config = qtyping.OpQuantizationConfig(
        weight_tensor_config=half, compute_precision=qtyping.ComputePrecision.FLOAT, explicit_dequantize=True
    )
    recipe = RecipeManager()
    for name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        operator = qtyping.TFLOperationName[name]
        recipe.add_quantization_config(_EVERYWHERE, operator, config, AlgorithmName.FLOAT_CASTING)
    return recipe


def _int8_recipe() -> RecipeManager:
    """Quantises weights per channel, symmetrically, and activations per tensor; input and output keep their type."""
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.recipe_manager import RecipeManager

    recipe = RecipeManager()
    recipe.add_static_config(
        _EVERYWHERE, qtyping.TFLOperationName.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8
    )
    for operator in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
        recipe.add_quantization_config(_EVERYWHERE, operator, algorithm_key=AlgorithmName.NO_QUANTIZE)
    return recipe


def _ranges(content: bytes, recipe: RecipeManager, calibration: Sequence[NDArray[Any]]) -> Any:
    """The range of every activation over all samples.

    The quantiser's own moving average would clip rare values. Its calibrator determines on the first sample which
    activations need ranges; the other samples only run through the runtime, in a tenth of the time.
    """
    from ai_edge_quantizer.calibrator import Calibrator
    from ai_edge_quantizer.utils.tfl_interpreter_utils import create_tfl_interpreter

    interpreter = create_tfl_interpreter(content, num_threads=1, preserve_all_tensors=True)
    (signature,) = interpreter.get_signature_list()
    sources = interpreter.get_input_details()
    names = _input_names(interpreter.get_signature_runner(signature), sources)
    calibrator = Calibrator(content, num_threads=1)
    first = {name: values[0] for name, values in zip(names, calibration, strict=True)}
    with contextlib.redirect_stderr(io.StringIO()):  # a progress bar
        calibrator.calibrate({signature: [first]}, recipe)
    ranges = calibrator.get_model_qsvs()
    indices = {detail["name"]: detail["index"] for detail in interpreter.get_tensor_details()}
    for sample in zip(*(values[1:] for values in calibration), strict=True):
        for source, value in zip(sources, sample, strict=True):
            interpreter.set_tensor(source["index"], value)
        interpreter.invoke()
        for tensor, seen in ranges.items():
            values = interpreter.get_tensor(indices[tensor])
            values = values[np.abs(values) < _PADDING]
            seen["min"], seen["max"] = np.minimum(seen["min"], values.min()), np.maximum(seen["max"], values.max())
    return ranges


def _input_names(runner: Any, sources: Sequence[dict[str, Any]]) -> list[str]:
    """The names of the inputs in the signature, in the model's order."""
    named = {detail["index"]: name for name, detail in runner.get_input_details().items()}
    return [named[source["index"]] for source in sources]
