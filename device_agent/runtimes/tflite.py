"""Executes .tflite files: ai-edge-litert, its older name tflite-runtime, and TensorFlow's own interpreter."""

from __future__ import annotations

import importlib
import os
from typing import Any, Sequence

import numpy as np

from .base import ModelLoadError, RuntimeMissing, TensorSpec, check_input, installed_version


class TfliteModel:
    """A loaded .tflite file."""

    device = "cpu"
    keeps_content = True
    accelerator = None

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        self.inputs, self._input_indices = _specs(interpreter.get_input_details())
        self.outputs, self._output_indices = _specs(interpreter.get_output_details())

    def set_input(self, position: int, value: np.ndarray) -> None:  # type: ignore[type-arg]
        check_input(self.inputs[position], value)
        self._interpreter.set_tensor(self._input_indices[position], value)

    def invoke(self) -> None:
        self._interpreter.invoke()

    def output(self, position: int) -> np.ndarray:  # type: ignore[type-arg]
        return np.asarray(self._interpreter.get_tensor(self._output_indices[position]))


def _specs(details: list[dict[str, Any]]) -> tuple[tuple[TensorSpec, ...], tuple[int, ...]]:
    specs = tuple(
        TensorSpec(str(entry["name"]), tuple(int(size) for size in entry["shape"]), np.dtype(entry["dtype"]))
        for entry in details
    )
    return specs, tuple(int(entry["index"]) for entry in details)


class TfliteRuntime:
    """The three share one interpreter interface."""

    def __init__(self, name: str, version: str | None, interpreter_class: Any) -> None:
        self.name = name
        self.version = version
        self._interpreter_class = interpreter_class

    def accepts(self, content: bytes) -> bool:
        return content[4:8] == b"TFL3"

    def load(self, content: bytes, threads: int) -> TfliteModel:
        if not content:
            raise ModelLoadError("the model file is empty")
        try:
            interpreter = self._interpreter_class(model_content=content, num_threads=threads)
            interpreter.allocate_tensors()
            return TfliteModel(interpreter)
        except (ValueError, RuntimeError) as error:
            reason = str(error).strip()
            raise ModelLoadError(f"{self.name} cannot load this model ({len(content)} bytes): {reason}") from error


def find_tflite(names: Sequence[str], errors: dict[str, str]) -> TfliteRuntime:
    """The first of `names` that imports; the failures on the way are added to `errors`.

    Raises: `RuntimeMissing` naming each failure.
    """
    for name in names:
        try:
            return TfliteRuntime(name, installed_version(name), _interpreter_class(name))
        except (ImportError, AttributeError, OSError) as error:
            errors[name] = str(error)
    failures = "; ".join(f"{name}: {errors[name]}" for name in names)
    raise RuntimeMissing(f"no TFLite runtime can be imported ({failures}); install one with: pip install {names[0]}")


def _interpreter_class(name: str) -> Any:
    if name == "tensorflow":
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its greetings would bury what the agent has to say
        return importlib.import_module("tensorflow").lite.Interpreter
    return importlib.import_module(name.replace("-", "_") + ".interpreter").Interpreter
