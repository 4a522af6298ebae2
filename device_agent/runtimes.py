"""One small protocol over the runtimes that can execute a .tflite file: ai-edge-litert and tflite-runtime."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

# In order of preference: distribution, module with `Interpreter`.
_CANDIDATES = (
    ("ai-edge-litert", "ai_edge_litert.interpreter"),
    ("tflite-runtime", "tflite_runtime.interpreter"),
)


class RuntimeMissing(RuntimeError):
    """No runtime could be imported."""


class ModelLoadError(ValueError):
    """Bytes the runtime does not accept as a model."""


class ModelRunError(ValueError):
    """The model was loaded, but cannot be run as asked."""


@dataclass(frozen=True)
class TensorSpec:
    """Shape (batch first) and dtype of one input or output of a model."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype  # type: ignore[type-arg]


class TfliteModel:
    """A loaded model: feed the inputs, invoke, read the outputs."""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        self.inputs, self._input_indices = _specs(interpreter.get_input_details())
        self.outputs, self._output_indices = _specs(interpreter.get_output_details())

    def set_input(self, position: int, value: np.ndarray) -> None:  # type: ignore[type-arg]
        """Raises `ModelRunError` when shape or dtype differ from `inputs[position]`."""
        spec = self.inputs[position]
        if tuple(value.shape) != spec.shape or value.dtype != spec.dtype:
            raise ModelRunError(
                f"input {spec.name!r} takes {spec.dtype.name} of shape {spec.shape}, "
                f"got {value.dtype.name} of shape {value.shape}"
            )
        self._interpreter.set_tensor(self._input_indices[position], value)

    def invoke(self) -> None:
        self._interpreter.invoke()

    def output(self, position: int) -> np.ndarray:  # type: ignore[type-arg]
        """A copy of one output."""
        return np.asarray(self._interpreter.get_tensor(self._output_indices[position]))


def _specs(details: list[dict[str, Any]]) -> tuple[tuple[TensorSpec, ...], tuple[int, ...]]:
    specs = tuple(
        TensorSpec(str(entry["name"]), tuple(int(size) for size in entry["shape"]), np.dtype(entry["dtype"]))
        for entry in details
    )
    return specs, tuple(int(entry["index"]) for entry in details)


class TfliteRuntime:
    """LiteRT and its older name tflite-runtime share one interpreter interface."""

    def __init__(self, name: str, version: str | None, interpreter_class: Any) -> None:
        self.name = name
        self.version = version
        self._interpreter_class = interpreter_class

    def load(self, model: bytes, threads: int) -> TfliteModel:
        """Raises `ModelLoadError` for bytes that are no model of this runtime, `MemoryError` when it does not fit."""
        if not model:
            raise ModelLoadError("the model file is empty")
        try:
            interpreter = self._interpreter_class(model_content=model, num_threads=threads)
            interpreter.allocate_tensors()
            return TfliteModel(interpreter)
        except (ValueError, RuntimeError) as error:
            raise ModelLoadError(f"{self.name} cannot load this model ({len(model)} bytes): {error}") from error


def find_runtime() -> TfliteRuntime:
    """The first runtime of this Python that imports. Raises `RuntimeMissing` naming each failure."""
    failures = []
    for distribution, module_name in _CANDIDATES:
        try:
            module = importlib.import_module(module_name)
        except (ImportError, OSError) as error:
            failures.append(f"{distribution}: {error}")
            continue
        return TfliteRuntime(distribution, _version_of(distribution), module.Interpreter)
    raise RuntimeMissing(
        f"no TFLite runtime can be imported ({'; '.join(failures)}); install one with: pip install ai-edge-litert"
    )


def _version_of(distribution: str) -> str | None:
    """None in a stripped bundle that carries no package metadata."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
