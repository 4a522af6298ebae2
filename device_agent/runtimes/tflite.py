"""Executes .tflite files with ai-edge-litert, its predecessor tflite-runtime, or TensorFlow's own interpreter."""

from __future__ import annotations

import importlib
import os
from typing import Any, Mapping, Sequence

import numpy as np

from .base import (
    AS_IT_IS,
    Call,
    CallRefused,
    ModelLoadError,
    NoProfile,
    RuntimeMissing,
    TensorSpec,
    check_input,
    check_shapes,
    installed_version,
    listing,
    shape_text,
)
from .tflite_graphs import FirstGraph, Graph, SignatureGraph, graph_index


class TfliteModel:
    """A loaded .tflite file, or one signature of it."""

    device = "cpu"
    keeps_content = True
    accelerator = None

    def __init__(
        self, graph: Graph, signature: str | None = None, signatures: tuple[str, ...] = (), runtime: str = "it"
    ) -> None:
        self.signature, self.signatures = signature, signatures
        self._graph, self._runtime = graph, runtime
        self.inputs, self._input_indices = _specs(graph.inputs())
        self.outputs, self._output_indices = _specs(graph.outputs())

    def set_input(self, position: int, value: np.ndarray) -> None:  # type: ignore[type-arg]
        check_input(self.inputs[position], value)
        self._graph.set(self._input_indices[position], value)

    def invoke(self) -> None:
        self._graph.invoke()

    def output(self, position: int) -> np.ndarray:  # type: ignore[type-arg]
        return np.asarray(self._graph.get(self._output_indices[position]))

    def per_op(self, n_runs: int) -> list[dict[str, Any]]:
        raise NoProfile(
            f"{self._runtime} for Python cannot tell what single operators cost; Google's benchmark_model can"
        )


def _specs(details: Mapping[str, dict[str, Any]]) -> tuple[tuple[TensorSpec, ...], tuple[int, ...]]:
    specs = tuple(_spec(name, entry) for name, entry in details.items())
    return specs, tuple(int(entry["index"]) for entry in details.values())


def _spec(name: str, entry: dict[str, Any]) -> TensorSpec:
    shape, declared = _sizes(entry["shape"]), _sizes(entry.get("shape_signature", entry["shape"]))
    takes = declared if len(declared) == len(shape) and -1 in declared else None
    return TensorSpec(name, shape, np.dtype(entry["dtype"]), takes)


def _sizes(shape: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in shape)


class TfliteRuntime:
    """One of the three runtimes, which share an interpreter interface."""

    def __init__(self, name: str, version: str | None, interpreter_class: Any) -> None:
        self.name = name
        self.version = version
        self._interpreter_class = interpreter_class

    def accepts(self, content: bytes) -> bool:
        return content[4:8] == b"TFL3"

    def load(self, content: bytes, threads: int, call: Call = AS_IT_IS) -> TfliteModel:
        if not content:
            raise ModelLoadError("the model file is empty")
        try:
            interpreter = self._interpreter_class(model_content=content, num_threads=threads)
            signatures = tuple(interpreter.get_signature_list())
            signature, graph = _chosen(interpreter, signatures, call.signature)
            if call.shapes:
                self._resize(graph, call)
            graph.allocate()
            return TfliteModel(graph, signature, signatures, self.name)
        except CallRefused:
            raise
        except (ValueError, RuntimeError) as error:
            reason = str(error).strip()
            raise ModelLoadError(f"{self.name} cannot load this model ({len(content)} bytes): {reason}") from error

    def _resize(self, graph: Graph, call: Call) -> None:
        """Give the inputs the shapes of the call. Raises `CallRefused`."""
        details = graph.inputs()
        specs = _specs(details)[0]
        check_shapes(call, specs)
        try:
            for name, shape in call.shapes.items():
                graph.resize(int(details[name]["index"]), shape)
            graph.allocate()
        except (ValueError, RuntimeError) as error:
            asked = "; ".join(f"{name}: {shape_text(shape)}" for name, shape in call.shapes.items())
            reason = " ".join(str(error).split())
            raise CallRefused(
                f"the model does not take {asked}; its inputs are {listing(specs)} ({self.name} says: {reason:.300})"
            ) from error


def _chosen(interpreter: Any, signatures: Sequence[str], wanted: str | None) -> tuple[str | None, Graph]:
    """The requested signature, or the one that the interpreter runs by default, and its graph.

    An interpreter cannot allocate while one of its runners lives; the runner of a `FirstGraph` is released here.
    """
    runners = {name: interpreter.get_signature_runner(name) for name in signatures}
    if wanted is None:
        first = next((name for name, runner in runners.items() if graph_index(runner) == 0), None)
        return first, FirstGraph(interpreter, None if first is None else runners[first])
    if wanted not in runners:
        known = ", ".join(map(repr, runners)) or "none"
        raise CallRefused(f"the model has no signature {wanted!r}; it has: {known}")
    runner = runners[wanted]
    return wanted, SignatureGraph(runner) if graph_index(runner) else FirstGraph(interpreter, runner)


def find_tflite(names: Sequence[str], errors: dict[str, str]) -> TfliteRuntime:
    """The first of `names` that can be imported; adds the failures before it to `errors`.

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
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's greetings would bury the agent's messages
        return importlib.import_module("tensorflow").lite.Interpreter
    return importlib.import_module(name.replace("-", "_") + ".interpreter").Interpreter
