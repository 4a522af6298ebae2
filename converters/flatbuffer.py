"""Reads a .tflite model as operators and tensors, changes it and packs it again."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from edgewright.device_agent.template import DTYPES
from numpy.typing import NDArray

from .errors import ConversionError

INTEGER_TYPES = (2, 4)  # TensorType INT32 and INT64

_NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}


@dataclass(frozen=True)
class TensorType:
    """Shape and number type of a model's input or output."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.dtype.name} {self.shape}"


@dataclass(frozen=True)
class Operator:
    """One operator; `inputs` and `outputs` are tensor indices, without absent optional inputs."""

    index: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any

    def __str__(self) -> str:
        return f"{self.name} (operator {self.index})"


class Graph:
    """The only subgraph of a model. Every use of a constant gets its own tensor and buffer.

    The converter merges constants of equal value (zero biases, shapes), which would tie unrelated axes together.
    """

    def __init__(self, content: bytes) -> None:
        """Raises `ConversionError` when the model has several subgraphs or keeps its data outside the flatbuffer."""
        self.model = schema.ModelT.InitFromPackedBuf(content, 0)
        if len(self.model.subgraphs) != 1:
            raise ConversionError(f"cannot slice a model with {len(self.model.subgraphs)} subgraphs; one is supported")
        if any(buffer.offset > 1 for buffer in self.model.buffers):
            raise ConversionError("cannot slice a model whose constants lie after the flatbuffer (over 2 GB)")
        self._subgraph = self.model.subgraphs[0]
        self._unshare()

    @cached_property
    def operators(self) -> tuple[Operator, ...]:
        return tuple(self._operator(index, item) for index, item in enumerate(self._subgraph.operators))

    def _operator(self, index: int, item: Any) -> Operator:
        code = self.model.operatorCodes[item.opcodeIndex]
        return Operator(
            index=index,
            name=_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)],
            inputs=tuple(int(tensor) for tensor in item.inputs if tensor >= 0),
            outputs=tuple(int(tensor) for tensor in item.outputs),
            options=item.builtinOptions,
        )

    @property
    def boundary(self) -> tuple[int, ...]:
        """The model's input and output tensors."""
        return tuple(int(tensor) for tensor in (*self._subgraph.inputs, *self._subgraph.outputs))

    @property
    def inputs(self) -> tuple[TensorType, ...]:
        return tuple(self._type(int(tensor)) for tensor in self._subgraph.inputs)

    @property
    def outputs(self) -> tuple[TensorType, ...]:
        return tuple(self._type(int(tensor)) for tensor in self._subgraph.outputs)

    def _type(self, tensor: int) -> TensorType:
        if self.dtype(tensor) not in DTYPES:
            raise ConversionError(f"tensor {self.name(tensor)!r} has type {self.dtype(tensor)}, which numpy lacks")
        return TensorType(self.shape(tensor), np.dtype(DTYPES[self.dtype(tensor)]))

    @property
    def n_tensors(self) -> int:
        return len(self._subgraph.tensors)

    def shape(self, tensor: int) -> tuple[int, ...]:
        shape = self._subgraph.tensors[tensor].shape
        return () if shape is None else tuple(int(length) for length in shape)

    def name(self, tensor: int) -> str:
        name: bytes | None = self._subgraph.tensors[tensor].name
        return "" if name is None else name.decode()

    def dtype(self, tensor: int) -> int:
        """The TensorType of the schema."""
        return int(self._subgraph.tensors[tensor].type)

    def buffer(self, tensor: int) -> int:
        return int(self._subgraph.tensors[tensor].buffer)

    def is_constant(self, tensor: int) -> bool:
        return self.model.buffers[self.buffer(tensor)].data is not None

    def is_plain(self, tensor: int) -> bool:
        """Neither sparse nor quantised in blocks."""
        item = self._subgraph.tensors[tensor]
        return item.sparsity is None and (item.quantization is None or item.quantization.details is None)

    def channel_axis(self, tensor: int) -> int | None:
        """The axis along which a tensor has a scale and a zero point per channel; None if it has only one of each."""
        quantisation = self._subgraph.tensors[tensor].quantization
        if quantisation is None or quantisation.scale is None or len(quantisation.scale) <= 1:
            return None
        return int(quantisation.quantizedDimension)

    def channel_vectors(self, tensor: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Scales (float32) and zero points (int64) per channel."""
        quantisation = self._subgraph.tensors[tensor].quantization
        scales, zeros = np.asarray(quantisation.scale, np.float32), np.asarray(quantisation.zeroPoint, np.int64)
        return scales, np.broadcast_to(zeros, scales.shape)

    def value(self, tensor: int) -> NDArray[Any]:
        """The value of a constant. Raises `ConversionError` for a computed tensor, or elements of less than a byte."""
        if not self.is_constant(tensor):
            raise ConversionError(
                f"tensor {self.name(tensor)!r} must be a constant to slice this model, but is computed"
            )
        if self.dtype(tensor) not in DTYPES:
            raise ConversionError(f"tensor {self.name(tensor)!r} has type {self.dtype(tensor)}, which cannot be sliced")
        data = np.asarray(self.model.buffers[self.buffer(tensor)].data, np.uint8)
        return data.view(DTYPES[self.dtype(tensor)]).reshape(self.shape(tensor))

    def set_value(self, tensor: int, value: NDArray[Any]) -> None:
        """Replace the value of a constant by one of the same shape and type."""
        self.model.buffers[self.buffer(tensor)].data = np.frombuffer(value.tobytes(), np.uint8)

    def replace(self, tensor: int, value: NDArray[Any]) -> None:
        """Another value of the same type, and maybe of another shape, for a constant."""
        self.set_value(tensor, value)
        self.set_shape(tensor, value.shape)

    def set_shape(self, tensor: int, shape: Sequence[int]) -> None:
        item = self._subgraph.tensors[tensor]
        item.shape = np.array(shape, np.int32)
        if item.shapeSignature is not None and len(item.shapeSignature):
            item.shapeSignature = np.array(shape, np.int32)

    def pack(self, stubs: Sequence[int], channel_stubs: Sequence[int] = ()) -> bytes:
        """The model as a flatbuffer, with stubs of one element.

        These replace the data of the constants `stubs` and the scales and zero points of the tensors `channel_stubs`.
        """
        buffers = [self.model.buffers[self.buffer(tensor)] for tensor in stubs]
        tensors = [self._subgraph.tensors[tensor] for tensor in channel_stubs]
        data, quantisations = [buffer.data for buffer in buffers], [tensor.quantization for tensor in tensors]
        for buffer in buffers:
            buffer.data = np.zeros(1, np.uint8)
        for tensor in tensors:
            tensor.quantization = copy.copy(tensor.quantization)
            tensor.quantization.scale, tensor.quantization.zeroPoint = np.zeros(1, np.float32), np.zeros(1, np.int64)
        try:
            return packed(self.model)
        finally:
            for buffer, original in zip(buffers, data, strict=True):
                buffer.data = original
            for tensor, quantisation in zip(tensors, quantisations, strict=True):
                tensor.quantization = quantisation

    def name_tensors_apart(self) -> None:
        """Make the names of tensors unique by numbering them."""
        seen: set[bytes] = set()
        for tensor in self._subgraph.tensors:
            name, number = tensor.name or b"", 1
            while tensor.name is None or tensor.name in seen:
                number += 1
                tensor.name = b"%s:%d" % (name, number)
            seen.add(tensor.name)

    def _unshare(self) -> None:
        tensors, buffers = self._subgraph.tensors, self.model.buffers
        used_tensors: set[int] = set()
        used_buffers: set[int] = set()
        for item in self._subgraph.operators:
            item.inputs = np.array(item.inputs)
            for position, tensor in enumerate(item.inputs.tolist()):
                if tensor < 0 or not self.is_constant(tensor):
                    continue
                if tensor in used_tensors or self.buffer(tensor) in used_buffers:
                    own = copy.copy(tensors[tensor])
                    buffers.append(copy.copy(buffers[own.buffer]))
                    own.buffer = len(buffers) - 1
                    tensors.append(own)
                    tensor = item.inputs[position] = len(tensors) - 1
                used_tensors.add(int(tensor))
                used_buffers.add(self.buffer(tensor))


def inlined(content: bytes) -> bytes:
    """The model with its constants inside the flatbuffer, where old runtimes also find them.

    The quantiser puts large constants after it.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    outside = [buffer for buffer in model.buffers if buffer.offset > 1]
    for buffer in outside:
        buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
        buffer.offset = buffer.size = 0
    return packed(model) if outside else content


def packed(model: Any) -> bytes:
    """A model of the schema as a flatbuffer."""
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
