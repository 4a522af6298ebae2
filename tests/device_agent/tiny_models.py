"""Small .tflite files written straight with the schema."""

from __future__ import annotations

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


def three_ends() -> bytes:
    """Three inputs and outputs: float32 (2, 3) negated, int32 (4,) doubled, and the absolute value of a number."""
    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [], []
    model.operatorCodes = []
    builtin, types = schema.BuiltinOperator, schema.TensorType
    for code, shape, dtype, uses in (
        (builtin.NEG, [2, 3], types.FLOAT32, 1), (builtin.ADD, [4], types.INT32, 2), (builtin.ABS, [], types.FLOAT32, 1)
    ):  # fmt: skip
        operator, kind = schema.OperatorT(), schema.OperatorCodeT()
        kind.builtinCode = kind.deprecatedBuiltinCode = code
        kind.version = 1
        for name in ("in", "out"):
            entry = schema.TensorT()
            entry.name, entry.shape, entry.type, entry.buffer = f"{name}{code}".encode(), shape, dtype, 0
            graph.tensors.append(entry)
        source, result = len(graph.tensors) - 2, len(graph.tensors) - 1
        operator.opcodeIndex, operator.inputs, operator.outputs = len(model.operatorCodes), [source] * uses, [result]
        if code == builtin.ADD:
            operator.builtinOptionsType = schema.BuiltinOptions.AddOptions
            operator.builtinOptions = schema.AddOptionsT()
        model.operatorCodes.append(kind)
        graph.operators.append(operator)
        graph.inputs.append(source)
        graph.outputs.append(result)
    model.subgraphs = [graph]
    return _packed(model)


def conv_chain(
    size: int = 32, channels: int = 16, depth: int = 4, in_channels: int | None = None, seed: int = 0
) -> bytes:
    """`depth` 3x3 convolutions with ReLU on (1, size, size, channels) float32; weights of one layer are shared by all.

    With `in_channels` a first 1x1 convolution widens the input to `channels`.
    """
    rng = np.random.default_rng(seed)
    model = schema.ModelT()
    model.version = 3
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CONV_2D
    code.version = 1
    model.operatorCodes = [code]
    model.buffers = [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors, graph.operators = [], []

    def tensor(name: str, shape: tuple[int, ...], data: np.ndarray | None = None) -> int:
        entry = schema.TensorT()
        entry.name, entry.shape, entry.type = name.encode(), list(shape), schema.TensorType.FLOAT32
        entry.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.astype(np.float32).tobytes(), np.uint8)
            model.buffers.append(buffer)
            entry.buffer = len(model.buffers) - 1
        graph.tensors.append(entry)
        return len(graph.tensors) - 1

    def conv(source: int, weight: int, bias: int, out: int) -> None:
        options = schema.Conv2DOptionsT()
        options.padding = schema.Padding.SAME
        options.strideW = options.strideH = options.dilationWFactor = options.dilationHFactor = 1
        options.fusedActivationFunction = schema.ActivationFunctionType.RELU
        operator = schema.OperatorT()
        operator.opcodeIndex = 0
        operator.inputs, operator.outputs = [source, weight, bias], [out]
        operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.Conv2DOptions, options
        graph.operators.append(operator)

    shape = (1, size, size, channels)
    current = tensor("input", (1, size, size, in_channels or channels))
    graph.inputs = [current]
    bias = tensor("bias", (channels,), rng.standard_normal(channels) * 0.1)
    if in_channels is not None:
        first = tensor("first", (channels, 1, 1, in_channels), rng.standard_normal((channels, 1, 1, in_channels)))
        widened = tensor("widened", shape)
        conv(current, first, bias, widened)
        current = widened
    weight_values = rng.standard_normal((channels, 3, 3, channels)) / (3 * np.sqrt(channels))
    weight = tensor("weight", (channels, 3, 3, channels), weight_values)
    for layer in range(depth):
        out = tensor(f"layer{layer}", shape)
        conv(current, weight, bias, out)
        current = out
    graph.outputs = [current]
    model.subgraphs = [graph]
    return _packed(model)


def two_signatures() -> bytes:
    """Signature "negate", the first graph: any number of rows of four numbers, `rows`, float32. Signature "double": a
    matrix `left` of (2, 3) int32 added to another, `right`."""
    model = schema.ModelT()
    model.version = 3
    model.buffers, model.operatorCodes, model.subgraphs, model.signatureDefs = [schema.BufferT()], [], [], []
    builtin, types = schema.BuiltinOperator, schema.TensorType
    _add_signature(model, "negate", builtin.NEG, types.FLOAT32, {"rows": [1, 4]}, [-1, 4])
    _add_signature(model, "double", builtin.ADD, types.INT32, {"left": [2, 3], "right": [2, 3]}, None)
    return _packed(model)


def _add_signature(
    model: schema.ModelT, name: str, code: int, kind: int, inputs: dict[str, list[int]], declared: list[int] | None
) -> None:
    """A graph of one operator, and the signature that names its inputs and its output."""
    graph, operator, operator_code = schema.SubGraphT(), schema.OperatorT(), schema.OperatorCodeT()
    operator_code.builtinCode = operator_code.deprecatedBuiltinCode = code
    operator_code.version = 1
    graph.tensors, signature = [], schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = name, len(model.subgraphs)
    signature.inputs, signature.outputs = [], []
    for index, (end, shape) in enumerate([*inputs.items(), ("out", next(iter(inputs.values())))]):
        entry, named = schema.TensorT(), schema.TensorMapT()
        entry.name, entry.shape, entry.type, entry.buffer = f"{name}_{end}:0".encode(), shape, kind, 0
        entry.shapeSignature = declared
        graph.tensors.append(entry)
        named.name, named.tensorIndex = end, index
        (signature.outputs if end == "out" else signature.inputs).append(named)
    operator.opcodeIndex, ends = len(model.operatorCodes), [*range(len(inputs))]
    operator.inputs, operator.outputs = ends, [len(inputs)]
    if code == schema.BuiltinOperator.ADD:
        operator.builtinOptionsType = schema.BuiltinOptions.AddOptions
        operator.builtinOptions = schema.AddOptionsT()
    graph.operators, graph.inputs, graph.outputs = [operator], ends, [len(inputs)]
    model.operatorCodes.append(operator_code)
    model.subgraphs.append(graph)
    model.signatureDefs.append(signature)


def _packed(model: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
