"""The protocol of all runtimes, their errors, and the packages that provide them.

Imports nothing heavy.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Callable, Mapping, Protocol, Sequence

import numpy as np

# In order of preference.
TFLITE_RUNTIMES = ("ai-edge-litert", "tflite-runtime", "tensorflow")
# Runtime -> importable module, and the distributions that may provide it.
PACKAGES = {
    "ai-edge-litert": ("ai_edge_litert", ("ai-edge-litert",)),
    "tflite-runtime": ("tflite_runtime", ("tflite-runtime",)),
    "tensorflow": ("tensorflow", ("tensorflow", "tensorflow-cpu", "tensorflow-aarch64", "tensorflow-cpu-aws")),
    "torch": ("torch", ("torch",)),
}


class RuntimeMissing(RuntimeError):
    """No runtime for this format can be imported."""


class ModelLoadError(ValueError):
    """The runtime does not accept these bytes as a model."""


class CallRefused(ModelLoadError):
    """The model lacks the signature or input that a `Call` names, or does not take that shape."""


class ModelRunError(ValueError):
    """The model was loaded, but cannot be run as asked."""


class NoProfile(RuntimeError):
    """The runtime cannot tell what single operators cost; the message says so in a sentence."""


@dataclass(frozen=True)
class TensorSpec:
    """Shape (batch first) and dtype of one input or output of a model.

    `takes` is the shape as the model declares it, with -1 where it accepts any size; None where that is `shape`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype  # type: ignore[type-arg]
    takes: tuple[int, ...] | None = None

    @property
    def declared(self) -> tuple[int, ...]:
        return self.shape if self.takes is None else self.takes

    def __str__(self) -> str:
        """For example "image: any,3,224,224 float32"."""
        return f"{self.name}: {','.join('any' if size < 0 else str(size) for size in self.declared)} {self.dtype.name}"


@dataclass(frozen=True)
class Call:
    """Which signature of a model to run, and the shapes of its inputs by name.

    Anything left out defaults to the model's first signature, the shapes it declares, and 1 where it accepts any size.
    """

    signature: str | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


AS_IT_IS = Call()


def check_shapes(call: Call, inputs: Sequence[TensorSpec]) -> None:
    """Raise `CallRefused` for an unknown input, a wrong number of dimensions, or a size it does not take."""
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
    """Raise `ModelRunError` when shape or dtype of `value` differ from `spec`."""
    if tuple(value.shape) != spec.shape or value.dtype != spec.dtype:
        raise ModelRunError(
            f"input {spec.name!r} takes {spec.dtype.name} of shape {spec.shape}, "
            f"got {value.dtype.name} of shape {value.shape}"
        )


class Accelerator(Protocol):
    """A processor with its own clock and memory, such as a GPU."""

    name: str
    clock_name: str
    memory_name: str

    def run_ms(self, run: Callable[[], Any]) -> float:
        """Milliseconds of one run on the accelerator."""

    def peak_bytes(self) -> int:
        """Peak memory on the accelerator since loading began."""


class LoadedModel(Protocol):
    """A model ready to run: feed the inputs, invoke, read the outputs.

    `device` is "cpu" or the accelerator's name; `accelerator` is None on the CPU. `keeps_content` says that the file's
    bytes stay in use while the model lives, and so count as its memory. `signature` is the one to run, None for a model
    without signatures; `signatures` are all of them.
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
        """Run once; an accelerator may still be working when this returns."""

    def output(self, position: int) -> np.ndarray:  # type: ignore[type-arg]
        """A copy of an output."""

    def per_op(self, n_runs: int) -> list[dict[str, Any]]:
        """The costs of operators: {"op", "type" if known, "latency_ms" of one run, "share" of all operators}.

        Raises `NoProfile` when the runtime cannot tell.
        """


class Runtime(Protocol):
    """Executes models of one format. `version` is None in a stripped bundle that carries no package metadata."""

    name: str
    version: str | None

    def accepts(self, content: bytes) -> bool:
        """Whether `content`, at least the first 8 bytes of a file, looks like this runtime's format."""

    def load(self, content: bytes, threads: int, call: Call = ...) -> LoadedModel:
        """Raises `ModelLoadError` for bytes that are not a model of this runtime, `CallRefused` when the model does not
        accept the call, `MemoryError` when memory does not suffice."""


def is_installed(name: str) -> bool:
    """Whether a runtime's package is installed. Does not import it; importing may still fail."""
    try:
        return importlib.util.find_spec(PACKAGES[name][0]) is not None
    except (ImportError, ValueError):  # an incomplete parent package
        return False


def installed_version(name: str) -> str | None:
    """The version from the package's metadata; None without metadata."""
    for distribution in PACKAGES[name][1]:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None
