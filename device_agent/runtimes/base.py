"""The protocol that every runtime keeps, its errors, and which packages carry which runtime.

Nothing heavy is imported here.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Callable, Mapping, Protocol, Sequence

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


class CallRefused(ModelLoadError):
    """The model has not the signature or the input that a `Call` names, or does not take such a shape."""


class ModelRunError(ValueError):
    """The model was loaded, but cannot be run as asked."""


class NoProfile(RuntimeError):
    """The runtime does not know what single operators cost; the message is a sentence that says so."""


@dataclass(frozen=True)
class TensorSpec:
    """Shape (batch first) and dtype of one input or output of a model.

    `takes` is the shape as the model declares it, with -1 where any size will do; None where that is `shape`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype  # type: ignore[type-arg]
    takes: tuple[int, ...] | None = None

    @property
    def declared(self) -> tuple[int, ...]:
        return self.shape if self.takes is None else self.takes

    def __str__(self) -> str:
        """Such as "image: any,3,224,224 float32"."""
        return f"{self.name}: {','.join('any' if size < 0 else str(size) for size in self.declared)} {self.dtype.name}"


@dataclass(frozen=True)
class Call:
    """Which of a model's signatures to run, and on inputs of which shapes, by name.

    What is left out stays as the model has it: its first signature, the shapes it declares, and 1 for any size.
    """

    signature: str | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


AS_IT_IS = Call()


def check_shapes(call: Call, inputs: Sequence[TensorSpec]) -> None:
    """Raises `CallRefused` for an input that is not there, a shape with another number of dimensions, and other sizes
    than the model's own where it says which ones are free."""
    known = {spec.name: spec for spec in inputs}
    for name, shape in call.shapes.items():
        if name not in known:
            raise CallRefused(f"the model has no input {name!r}; its inputs are {listing(inputs)}")
        if len(shape) != len(known[name].shape):
            raise CallRefused(
                f"input {name!r} has {len(known[name].shape)} dimensions, got {len(shape)} "
                f"({shape_text(shape)}); its inputs are {listing(inputs)}"
            )
        if any(size not in (-1, asked) for size, asked in zip(known[name].takes or (), shape)):
            raise CallRefused(f"input {name!r} does not take {shape_text(shape)}; its inputs are {listing(inputs)}")


def listing(specs: Sequence[TensorSpec]) -> str:
    return "; ".join(map(str, specs))


def shape_text(shape: Sequence[int]) -> str:
    return ",".join(map(str, shape))


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
    bytes stay in use while the model lives, and so belong to the memory it takes. `signature` is the one that is run,
    None for a model that names none; `signatures` are all.
    """

    device: str
    keeps_content: bool
    signature: str | None
    signatures: tuple[str, ...]

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

    def per_op(self, n_runs: int) -> list[dict[str, Any]]:
        """What operators cost: {"op", "type" where it is known, "latency_ms" of one run, "share" of all operators}.

        Raises `NoProfile` where the runtime does not know.
        """


class Runtime(Protocol):
    """Executes models of one format. `version` is None in a stripped bundle that carries no package metadata."""

    name: str
    version: str | None

    def accepts(self, content: bytes) -> bool:
        """Whether `content`, at least the first 8 bytes of a file, looks like this runtime's format."""

    def load(self, content: bytes, threads: int, call: Call = ...) -> LoadedModel:
        """Raises `ModelLoadError` for bytes that are no model of this runtime, `CallRefused` for a model that cannot be
        called so, `MemoryError` when it does not fit."""


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
