"""The protocol that every runtime keeps, its errors, and which packages carry which runtime.

Nothing heavy is imported here.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Callable, Protocol

import numpy as np

# In order of preference.
TFLITE_RUNTIMES = ("ai-edge-litert", "tflite-runtime", "tensorflow")
# Runtime: importable module, and the distributions that may carry it.
PACKAGES = {
    "ai-edge-litert": ("ai_edge_litert", ("ai-edge-litert",)),
    "tflite-runtime": ("tflite_runtime", ("tflite-runtime",)),
    "tensorflow": ("tensorflow", ("tensorflow", "tensorflow-cpu", "tensorflow-aarch64", "tensorflow-cpu-aws")),
    "torch": ("torch", ("torch",)),
}


class RuntimeMissing(RuntimeError):
    """No runtime for this format can be imported."""


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


def check_input(spec: TensorSpec, value: np.ndarray) -> None:  # type: ignore[type-arg]
    """Raises `ModelRunError` when shape or dtype of `value` differ from `spec`."""
    if tuple(value.shape) != spec.shape or value.dtype != spec.dtype:
        raise ModelRunError(
            f"input {spec.name!r} takes {spec.dtype.name} of shape {spec.shape}, "
            f"got {value.dtype.name} of shape {value.shape}"
        )


class Accelerator(Protocol):
    """A processor with a clock and a memory of its own."""

    name: str
    clock_name: str
    memory_name: str

    def run_ms(self, run: Callable[[], Any]) -> float:
        """Milliseconds of one run there."""

    def peak_bytes(self) -> int:
        """The most memory taken there at once, since loading began."""


class LoadedModel(Protocol):
    """A model ready to run: feed the inputs, invoke, read the outputs.

    `device` is "cpu" or the accelerator's name; `accelerator` is None on the CPU. `keeps_content` says that the file's
    bytes stay in use while the model lives, and so belong to the memory it takes.
    """

    device: str
    keeps_content: bool

    @property
    def accelerator(self) -> Accelerator | None: ...

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...

    def set_input(self, position: int, value: np.ndarray) -> None:  # type: ignore[type-arg]
        """Raises `ModelRunError` when shape or dtype differ from `inputs[position]`."""

    def invoke(self) -> None:
        """One run; an accelerator may still be at it when this returns."""

    def output(self, position: int) -> np.ndarray:  # type: ignore[type-arg]
        """A copy of one output."""


class Runtime(Protocol):
    """Executes models of one format. `version` is None in a stripped bundle that carries no package metadata."""

    name: str
    version: str | None

    def accepts(self, content: bytes) -> bool:
        """Whether `content`, at least the first 8 bytes of a file, looks like this runtime's format."""

    def load(self, content: bytes, threads: int) -> LoadedModel:
        """Raises `ModelLoadError` for bytes that are no model of this runtime, `MemoryError` when it does not fit."""


def is_installed(name: str) -> bool:
    """Whether a runtime's package is there; it is not imported, and may still fail to."""
    try:
        return importlib.util.find_spec(PACKAGES[name][0]) is not None
    except (ImportError, ValueError):  # a parent that is half a package
        return False


def installed_version(name: str) -> str | None:
    """From the package's metadata; None where there is none."""
    for distribution in PACKAGES[name][1]:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None
