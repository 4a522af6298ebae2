"""A model of which only some outputs are kept, and their names inside the file, where Android's libraries look."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .errors import ConversionError
from .flatbuffer import Graph, Operator, packed

LABELS_FILE = "labels.txt"

_METADATA = b"TFLITE_METADATA"
_IDENTIFIER = b"M001"  # of TFLite's metadata schema
_AXIS_LABELS = 2  # AssociatedFileType.TENSOR_AXIS_LABELS
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the least a zip file can say: equal models have equal bytes


def cut_outputs(content: bytes, rows: Sequence[int]) -> bytes:
    """The float32 model with only these numbers of its one output `(1, R)`, in this order: `(1, K)`.

    The rows of the last fully connected layer that make the others are cut off.

    Raises:
        ConversionError: the model's output is not made by a fully connected layer of constant weights, or has no such
            row.
    """
    graph = Graph(content)
    last = _last_layer(graph)
    weights, *bias = last.inputs[1:]
    n_rows = graph.shape(weights)[0]
    if not rows or not all(0 <= row < n_rows for row in rows):
        raise ConversionError(f"the model has outputs 0 to {n_rows - 1}, so {list(rows)} cannot be kept")
    for tensor in (weights, *bias):
        graph.replace(tensor, graph.value(tensor)[list(rows)])
    graph.set_shape(last.outputs[0], (*graph.shape(last.outputs[0])[:-1], len(rows)))
    return graph.pack(())


def _last_layer(graph: Graph) -> Operator:
    outputs = graph.boundary[len(graph.inputs) :]
    makers = [each for each in graph.operators if set(each.outputs) & set(outputs)]
    if len(outputs) != 1 or [each.name for each in makers] != ["FULLY_CONNECTED"]:
        made_by = ", ".join(each.name for each in makers)
        raise ConversionError(f"outputs can be cut off one fully connected layer; this model's are made by {made_by}")
    return makers[0]


def with_labels(content: bytes, labels: Sequence[str]) -> bytes:
    """The model with the names of its outputs: TFLite metadata that name the file labels.txt, one name a line, and the
    file, as a zip archive behind the model. Runtimes ignore both."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    model.metadata = model.metadata or []
    entry = next((each for each in model.metadata if each.name == _METADATA), None)
    if entry is None:
        entry = schema.MetadataT()
        entry.name, entry.buffer = _METADATA, len(model.buffers)
        model.metadata.append(entry)
        model.buffers.append(schema.BufferT())
    model.buffers[entry.buffer].data = np.frombuffer(_label_metadata(), np.uint8)
    file = io.BytesIO(packed(model))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(LABELS_FILE, _EPOCH), "".join(f"{label}\n" for label in labels))
    return file.getvalue()


def labels_of(content: bytes) -> tuple[str, ...]:
    """What `with_labels` wrote; empty where nothing is written."""
    file = io.BytesIO(content)
    if not zipfile.is_zipfile(file):
        return ()
    with zipfile.ZipFile(file) as archive:
        return tuple(archive.read(LABELS_FILE).decode().splitlines()) if LABELS_FILE in archive.namelist() else ()


def _label_metadata() -> bytes:
    """TFLite's ModelMetadata, as little of it as names the labels of the only output.

    Fields by number, from the schema: AssociatedFile name 0, type 2; TensorMetadata name 0, associated files 6;
    SubGraphMetadata output tensors 3; ModelMetadata subgraphs 3.
    """
    builder = flatbuffers.Builder(256)
    name, output = builder.CreateString(LABELS_FILE), builder.CreateString("answer")
    file = _table(builder, 5, {0: name}, {2: _AXIS_LABELS})
    tensor = _table(builder, 7, {0: output, 6: _vector(builder, file)})
    subgraph = _table(builder, 7, {3: _vector(builder, tensor)})
    builder.Finish(_table(builder, 8, {3: _vector(builder, subgraph)}), _IDENTIFIER)
    return bytes(builder.Output())


def _table(
    builder: flatbuffers.Builder, n_fields: int, offsets: dict[int, int], numbers: dict[int, int] | None = None
) -> int:
    builder.StartObject(n_fields)
    for field, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    for field, number in (numbers or {}).items():
        builder.PrependInt8Slot(field, number, 0)
    return int(builder.EndObject())


def _vector(builder: flatbuffers.Builder, item: int) -> int:
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(item)
    return int(builder.EndVector())
