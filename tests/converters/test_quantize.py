"""Half and a quarter of the bytes, the same answers: a subnet of the shipped supernet, on its own test images."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_quantizer.calibrator import Calibrator
from ai_edge_quantizer.utils.qsv_utils import min_max_update
from edgewright.assembler.request import Request
from edgewright.converters import quantize as quantize_module
from edgewright.converters.errors import ConversionError
from edgewright.converters.flatbuffer import Graph, inlined
from edgewright.converters.parity import tflite_outputs
from edgewright.converters.precision import Precision
from edgewright.converters.quantize import quantize
from edgewright.converters.torch_to_tflite import silenced
from edgewright.data.digits import load_digits
from edgewright.domains.numvqa import domain as numvqa

TASK = numvqa.SPACE.parse("only two even")
FLOAT16, INT8 = 1, 9  # TensorType of the TFLite schema


@pytest.fixture(scope="module")
def float32(trained: Any, template: Any) -> bytes:
    """The assembler's answer at a quarter of the modules."""
    return template.emit(trained.assembler.assemble([Request(TASK, 0.25)])[0].pack()).tobytes()


@pytest.fixture(scope="module")
def calibration() -> np.ndarray:
    return numvqa.examples(TASK, load_digits().train, 300, np.random.default_rng(1)).images  # (n, 1, 56, 56)


@pytest.fixture(scope="module")
def quantised(float32: bytes, calibration: np.ndarray) -> dict[Precision, bytes]:
    return {
        Precision.FLOAT16: quantize(float32, Precision.FLOAT16),
        Precision.INT8: quantize(float32, Precision.INT8, calibration),
    }


@pytest.fixture(scope="module")
def unseen() -> numvqa.Examples:
    return numvqa.examples(TASK, load_digits().test, 400, np.random.default_rng(2))


def n_weights(content: bytes) -> int:
    """Elements of all constants."""
    graph = Graph(content)
    return sum(int(np.prod(graph.shape(i))) for i in range(graph.n_tensors) if graph.is_constant(i))


@pytest.mark.parametrize(("precision", "bytes_each"), [(Precision.FLOAT16, 2), (Precision.INT8, 1)])
def test_the_file_is_smaller_by_what_each_weight_saves(
    float32: bytes, quantised: dict[Precision, bytes], precision: Precision, bytes_each: int
) -> None:
    saved = len(float32) - len(quantised[precision])
    # Biases stay in 32 bits; int8 has a scale and a zero point per channel, and float16 an operator per weight.
    assert (4 - bytes_each) * n_weights(float32) * 0.87 < saved < (4 - bytes_each) * n_weights(float32)


@pytest.mark.parametrize(("precision", "allowed"), [(Precision.FLOAT16, 1e-3), (Precision.INT8, 0.04)])
def test_answers_stay(
    float32: bytes,
    quantised: dict[Precision, bytes],
    unseen: numvqa.Examples,
    precision: Precision,
    allowed: float,
) -> None:
    expected, found = (tflite_outputs(content, unseen.images) for content in (float32, quantised[precision]))  # (B, K)
    assert found.dtype == np.float32
    assert (found.argmax(1) == expected.argmax(1)).mean() >= 0.99
    assert (expected.argmax(1) == unseen.answers).mean() > 0.95, "they are answers worth keeping"
    assert 0 < np.quantile(np.abs(found - expected), 0.99) <= allowed * np.abs(expected).max()


def test_int8_computes_in_integers_between_a_float_input_and_output(quantised: dict[Precision, bytes]) -> None:
    graph = Graph(quantised[Precision.INT8])
    convs = [operator for operator in graph.operators if operator.name == "CONV_2D"]
    assert convs and all(graph.dtype(operator.inputs[place]) == INT8 for operator in convs for place in (0, 1))
    assert [graph.dtype(tensor) for tensor in graph.boundary] == [0, 0]
    assert (graph.operators[0].name, graph.operators[-1].name) == ("QUANTIZE", "DEQUANTIZE")


def test_float16_keeps_weights_in_half_precision(quantised: dict[Precision, bytes]) -> None:
    graph = Graph(quantised[Precision.FLOAT16])
    weights = [o.inputs[0] for o in graph.operators if o.name == "DEQUANTIZE"]
    assert weights and all(graph.dtype(tensor) == FLOAT16 for tensor in weights)


def test_equal_arguments_give_equal_bytes_and_leave_no_file(
    float32: bytes, calibration: np.ndarray, quantised: dict[Precision, bytes], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for precision, content in quantised.items():
        assert quantize(float32, precision, calibration if precision is Precision.INT8 else None) == content
    assert os.listdir(tmp_path) == []


def test_nothing_is_printed(float32: bytes, calibration: np.ndarray, capfd: pytest.CaptureFixture[str]) -> None:
    quantize(float32, Precision.INT8, calibration[:3])
    assert capfd.readouterr() == ("", "")


def test_the_range_of_an_activation_is_the_widest_seen(float32: bytes, calibration: np.ndarray) -> None:
    """One sample among many that is brighter than all others: what it makes is not cut off."""
    bright = np.concatenate([calibration[:20], 3 * calibration[:1], calibration[20:40]])
    expected = tflite_outputs(float32, bright)
    found = tflite_outputs(quantize(float32, Precision.INT8, bright), bright)
    assert np.abs(found[20] - expected[20]).max() < 0.1 * np.abs(expected[20]).max()


def test_ranges_are_those_of_the_quantisers_calibrator(float32: bytes, calibration: np.ndarray) -> None:
    graph = Graph(float32)
    graph.name_tensors_apart()
    content, recipe = graph.pack(()), quantize_module._int8_recipe()
    with silenced():
        found = quantize_module._ranges(content, recipe, [calibration[:8, None]])
        calibrator = Calibrator(content, num_threads=1, qsv_update_func=min_max_update)
        calibrator.calibrate({"serving_default": [{"args_0": sample[None]} for sample in calibration[:8]]}, recipe)
    expected = calibrator.get_model_qsvs()
    assert found.keys() == expected.keys() and len(found) > 30
    for name, ends in expected.items():
        for end in ("min", "max"):
            np.testing.assert_array_equal(found[name][end], ends[end], strict=True)


def test_float32_is_the_model_itself(float32: bytes) -> None:
    assert quantize(float32, Precision.FLOAT32) is float32


def test_constants_behind_the_flatbuffer_are_brought_inside(trained: Any, template: Any) -> None:
    """Where a model is large the quantiser writes them there; old runtimes would not find them."""
    full = template.emit(trained.supernet.space.full().pack()).tobytes()
    content = quantize(full, Precision.FLOAT16)
    assert all(buffer.offset <= 1 for buffer in Graph(content).model.buffers)
    assert inlined(content) is content


@pytest.mark.parametrize(
    ("samples", "sentence"),
    [
        (None, "int8 needs samples to calibrate on"),
        (np.zeros((0, 1, 56, 56), np.float32), "int8 needs samples to calibrate on"),
        (np.zeros((2, 1, 28, 28), np.float32), r"must have shape \(1, 1, 56, 56\), got \(1, 1, 28, 28\)"),
        (np.full((2, 1, 56, 56), np.nan, np.float32), "numbers that are not finite"),
    ],
)
def test_unfit_samples_are_refused(float32: bytes, samples: Any, sentence: str) -> None:
    with pytest.raises(ConversionError, match=sentence):
        quantize(float32, Precision.INT8, samples)


def test_a_quantised_model_is_refused(quantised: dict[Precision, bytes], calibration: np.ndarray) -> None:
    for content in quantised.values():
        with pytest.raises(ConversionError, match="only a float32 model can be made int8"):
            quantize(content, Precision.INT8, calibration[:2])


def test_what_the_quantiser_cannot_do_is_one_sentence(float32: bytes, calibration: np.ndarray) -> None:
    graph = Graph(float32)
    graph.model.signatureDefs = []
    with pytest.raises(ConversionError, match=r"LiteRT's quantiser could not make the model int8 \(\w+: .+\)"):
        quantize(graph.pack(()), Precision.INT8, calibration[:2])
