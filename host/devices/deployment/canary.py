"""The smallest model that shows whether a device can do the work: load, run, compute correctly, be measured."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from edgewright.device_agent.timing import TimingProtocol
from numpy.typing import NDArray

from ...errors import DeviceError, EdgewrightError
from ..session.jobs import MeasureJob

_PROTOCOL = TimingProtocol(n_warmup_min=1, warmup_max_ms=50.0, n_runs=5, min_time_ms=1.0, timeout_s=60.0)
_INPUTS, _OUTPUTS = 8, 4


class CanarySession(Protocol):
    """What the canary needs of a device."""

    def put_blob(self, data: bytes) -> str: ...

    def measure(self, job: MeasureJob, protocol: TimingProtocol) -> dict[str, Any]: ...

    def run(
        self, job: MeasureJob, inputs: NDArray[np.float32], protocol: TimingProtocol | None = None
    ) -> NDArray[np.float32]: ...


def send_canary(session: CanarySession, device_name: str) -> dict[str, Any]:
    """Have the device take, measure and run a model of one layer, and compare its answers with ours.

    Returns: the measurement, as `device_agent.measure.measure` gives it.
    Raises: `DeviceError` naming the step that failed.
    """
    weights, bias, inputs = _values()
    step = "taking a file"
    try:
        job = MeasureJob(model_sha=session.put_blob(_model(weights, bias)))
        step = "measuring a model"
        reply = session.measure(job, _PROTOCOL)
        if reply.get("error") is not None:
            raise DeviceError(f"{reply['error']['kind']}: {reply['error']['message']}")
        step = "running a model"
        outputs = session.run(job, inputs, _PROTOCOL)  # (B, K)
    except EdgewrightError as error:
        raise DeviceError(f"the agent starts on device {device_name!r} but fails at {step}: {error}") from error
    expected = inputs @ weights.T + bias  # (B, K)
    if outputs.shape != expected.shape or not np.allclose(outputs, expected, atol=1e-4):
        raise DeviceError(
            f"device {device_name!r} runs the canary but computes something different from this machine "
            f"(largest difference {_difference(outputs, expected):.3g}); deploy the agent with another `runtime`: "
            f"edgewright agent deploy {device_name}"
        )
    return reply


def _difference(outputs: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float("nan") if outputs.shape != expected.shape else float(np.abs(outputs - expected).max())


def _values() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Weights (K, D), bias (K,), inputs (B, D); always the same."""
    rng = np.random.default_rng(0)
    shapes = ((_OUTPUTS, _INPUTS), (_OUTPUTS,), (3, _INPUTS))
    weights, bias, inputs = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    return weights, bias, inputs


def _model(weights: NDArray[np.float32], bias: NDArray[np.float32]) -> bytes:
    """A .tflite file of one fully connected layer, (1, D) -> (1, K)."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def tensor(name: str, shape: tuple[int, ...], buffer: int) -> Any:
        entry = schema.TensorT()
        entry.name, entry.shape, entry.type, entry.buffer = name, list(shape), schema.TensorType.FLOAT32, buffer
        return entry

    def buffer(values: NDArray[np.float32] | None) -> Any:
        entry = schema.BufferT()
        if values is not None:
            entry.data = np.frombuffer(values.tobytes(), np.uint8)
        return entry

    code, layer, graph, model = schema.OperatorCodeT(), schema.OperatorT(), schema.SubGraphT(), schema.ModelT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 1
    layer.opcodeIndex, layer.inputs, layer.outputs = 0, [0, 1, 2], [3]
    layer.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    layer.builtinOptions = schema.FullyConnectedOptionsT()
    graph.tensors = [
        tensor("input", (1, _INPUTS), 0),
        tensor("weights", weights.shape, 1),
        tensor("bias", bias.shape, 2),
        tensor("output", (1, _OUTPUTS), 0),
    ]
    graph.operators, graph.inputs, graph.outputs = [layer], [0], [3]
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [buffer(None), buffer(weights), buffer(bias)]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
