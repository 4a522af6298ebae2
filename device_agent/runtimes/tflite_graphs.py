"""Runs one graph of a .tflite file through a TFLite interpreter: the first, or the graph of another signature."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Protocol, Sequence

import numpy as np

Details = Mapping[str, Dict[str, Any]]
"""The interpreter's details of inputs or outputs, by name."""


class Graph(Protocol):
    """A graph of a model. `index` is a tensor's index in its details."""

    def inputs(self) -> Details: ...

    def outputs(self) -> Details: ...

    def resize(self, index: int, shape: Sequence[int]) -> None: ...

    def allocate(self) -> None: ...

    def set(self, index: int, value: np.ndarray) -> None: ...  # type: ignore[type-arg]

    def invoke(self) -> None: ...

    def get(self, index: int) -> Any: ...


class FirstGraph:
    """The graph that the interpreter runs by default. Names come from its signature if it has one, or its tensors."""

    def __init__(self, interpreter: Any, runner: Any) -> None:
        self._interpreter = interpreter
        self._names: dict[int, str] = {}
        if hasattr(runner, "get_input_details"):  # runners of old packages do not
            for side in (runner.get_input_details(), runner.get_output_details()):
                self._names.update({int(entry["index"]): name for name, entry in side.items()})

    def inputs(self) -> Details:
        return self._named(self._interpreter.get_input_details())

    def outputs(self) -> Details:
        return self._named(self._interpreter.get_output_details())

    def resize(self, index: int, shape: Sequence[int]) -> None:
        self._interpreter.resize_tensor_input(index, list(shape))

    def allocate(self) -> None:
        self._interpreter.allocate_tensors()

    def set(self, index: int, value: np.ndarray) -> None:  # type: ignore[type-arg]
        self._interpreter.set_tensor(index, value)

    def invoke(self) -> None:
        self._interpreter.invoke()

    def get(self, index: int) -> Any:
        return self._interpreter.get_tensor(index)

    def _named(self, details: list[dict[str, Any]]) -> Details:
        named: dict[str, dict[str, Any]] = {}
        for entry in details:
            name = self._names.get(int(entry["index"]), str(entry["name"]))
            named[name if name not in named else f"{name}#{len(named)}"] = entry  # tensors may share a name
        return named


def graph_index(runner: Any) -> int:
    """The index of the graph that a signature runs; runners without it support only the first graph."""
    return int(getattr(runner, "_subgraph_index", 0))


class SignatureGraph:
    """The graph of a signature.

    Bypasses the signature's runner, which copies all inputs and outputs in every run: the copies would be timed too.
    Uses the wrapper below the runner, which is the same in all packages with this interpreter.
    """

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._wrapper = runner._interpreter_wrapper
        self._index = graph_index(runner)

    def inputs(self) -> Details:
        details: Details = self._runner.get_input_details()
        return details

    def outputs(self) -> Details:
        details: Details = self._runner.get_output_details()
        return details

    def resize(self, index: int, shape: Sequence[int]) -> None:
        self._wrapper.ResizeInputTensor(index, np.array(shape, np.int32), False, self._index)

    def allocate(self) -> None:
        self._wrapper.AllocateTensors(self._index)

    def set(self, index: int, value: np.ndarray) -> None:  # type: ignore[type-arg]
        self._wrapper.SetTensor(index, value, self._index)

    def invoke(self) -> None:
        self._wrapper.Invoke(self._index)

    def get(self, index: int) -> Any:
        return self._wrapper.GetTensor(index, self._index)
