"""A converted model with fewer outputs, and the names of its outputs inside the file."""

import io
import zipfile

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from edgewright.converters.errors import ConversionError
from edgewright.converters.outputs import cut_outputs, labels_of, with_labels
from edgewright.converters.parity import tflite_outputs
from edgewright.converters.precision import Precision
from edgewright.converters.quantize import quantize
from edgewright.converters.torch_to_tflite import convert
from torch import nn

ROWS = (5, 0, 3)
LABELS = ("Käse, 8 %", "cat", "犬")


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 6)
    return nn.Sequential(*layers).eval()


@pytest.fixture(scope="module")
def content(module):
    return convert(module, torch.zeros(1, 3, 16, 16))


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).standard_normal((5, 3, 16, 16), np.float32)


def test_the_kept_outputs_are_bit_identical_and_in_the_order_asked_for(content, samples):
    whole = tflite_outputs(content, samples)  # (B, 6)
    np.testing.assert_array_equal(tflite_outputs(cut_outputs(content, ROWS), samples), whole[:, ROWS])


def test_a_cut_model_states_its_shape_and_is_smaller(content):
    interpreter = Interpreter(model_content=cut_outputs(content, ROWS))
    assert interpreter.get_output_details()[0]["shape"].tolist() == [1, 3]
    assert len(cut_outputs(content, (1,))) < len(cut_outputs(content, range(6)))


def test_a_cut_model_can_be_quantised(content, samples):
    cut = cut_outputs(content, ROWS)
    outputs = tflite_outputs(quantize(cut, Precision.INT8, samples), samples)
    assert outputs == pytest.approx(tflite_outputs(cut, samples), abs=0.1)


@pytest.mark.parametrize("rows", [(), (6,), (-1,)])
def test_rows_that_are_not_there_are_refused(content, rows):
    with pytest.raises(ConversionError, match="the model has outputs 0 to 5"):
        cut_outputs(content, rows)


def test_a_model_that_does_not_end_in_a_linear_layer_is_refused(module):
    headless = convert(nn.Sequential(*list(module)[:2]).eval(), torch.zeros(1, 3, 16, 16))
    with pytest.raises(ConversionError, match="cut off one fully connected layer"):
        cut_outputs(headless, (0,))


def test_labels_are_a_file_behind_the_model_and_change_no_output(content, samples):
    labelled = with_labels(cut_outputs(content, ROWS), LABELS)
    np.testing.assert_array_equal(tflite_outputs(labelled, samples), tflite_outputs(content, samples)[:, ROWS])
    assert labels_of(labelled) == LABELS and labels_of(content) == ()
    with zipfile.ZipFile(io.BytesIO(labelled)) as archive:  # as `unzip` and Android see it
        assert archive.namelist() == ["labels.txt"] and archive.testzip() is None
        assert archive.getinfo("labels.txt").compress_type == zipfile.ZIP_STORED


def test_the_metadata_name_the_file_as_the_labels_of_the_output(content):
    """Read with the field numbers of TFLite's metadata_schema.fbs, as its own readers do."""
    from ai_edge_litert import schema_py_generated as schema
    from flatbuffers.table import Table

    model = schema.ModelT.InitFromPackedBuf(with_labels(content, [str(i) for i in range(6)]), 0)
    (entry,) = [each for each in model.metadata if each.name == b"TFLITE_METADATA"]
    data = bytearray(bytes(model.buffers[entry.buffer].data))
    assert data[4:8] == b"M001"

    def field(table, number):
        return table.Offset(4 + 2 * number)

    def only(table, number):
        start = table.Vector(field(table, number))
        assert table.VectorLen(field(table, number)) == 1
        return Table(data, table.Indirect(start))

    root = Table(data, int.from_bytes(data[:4], "little"))
    output = only(only(root, 3), 3)
    file = only(output, 6)
    assert file.String(file.Pos + field(file, 0)) == b"labels.txt"
    assert data[file.Pos + field(file, 2)] == 2  # TENSOR_AXIS_LABELS


def test_labels_are_written_anew_not_twice(content):
    again = with_labels(with_labels(content, list("abcdef")), list("uvwxyz"))
    assert labels_of(again) == tuple("uvwxyz") and len(again) == len(with_labels(content, list("uvwxyz")))
