"""What executes models on this device: one protocol, and the choice of a runtime by the model's format.

A .tflite file goes to the first TFLite runtime that works, in the order of `TFLITE_RUNTIMES`, or to the one asked for;
a zip archive (torch.export's .pt2, TorchScript) goes to torch. Nothing heavy is imported before it is needed.
"""

from __future__ import annotations

import gc
import importlib.util
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Callable, Protocol

import numpy as np

from .isolation import Wait, plain_wait, run_isolated

# In order of preference.
TFLITE_RUNTIMES = ("ai-edge-litert", "tflite-runtime", "tensorflow")
# Runtime: importable module, and the distributions that may carry it.
_PACKAGES = {
    "ai-edge-litert": ("ai_edge_litert", ("ai-edge-litert",)),
    "tflite-runtime": ("tflite_runtime", ("tflite-runtime",)),
    "tensorflow": ("tensorflow", ("tensorflow", "tensorflow-cpu", "tensorflow-aarch64", "tensorflow-cpu-aws")),
    "torch": ("torch", ("torch",)),
}
_TORCH_IMPORT_S = 300.0
_TORCH_IMPORT_MIB = 16384.0


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


class UnknownFormat:
    """Takes the place of a runtime for bytes that no runtime knows: to load them fails, as for any corrupt model."""

    name = "none"
    version: str | None = None

    def accepts(self, content: bytes) -> bool:
        return True

    def load(self, content: bytes, threads: int) -> LoadedModel:
        raise ModelLoadError(
            f"{len(content)} bytes that are neither a .tflite file nor a zip archive of torch "
            f"(they start with {content[:8]!r}); push a .tflite, a .pt2 or a TorchScript file"
        )


class Runtimes:
    """The runtimes of this Python. The agent asks before it forks, so that every child shares what was imported."""

    def __init__(self, tflite_name: str | None = None) -> None:
        """`tflite_name` forces one of `TFLITE_RUNTIMES`; otherwise the first that works is used."""
        from .runtime_tflite import find_tflite

        self._errors: dict[str, str] = {}
        self._versions = {name: installed_version(name) for name in _PACKAGES if is_installed(name)}
        self._torch: Runtime | None = None
        self.tflite: Runtime | None = None
        self.tflite_error: str | None = None
        try:
            self.tflite = find_tflite(TFLITE_RUNTIMES if tflite_name is None else (tflite_name,), self._errors)
        except RuntimeMissing as error:
            self.tflite_error = str(error)

    def summary(self) -> dict[str, Any]:
        """What hello and facts report.

        `runtime`, `runtime_version` and `runtime_error` are about the TFLite runtime in use; `runtimes` maps each that
        is installed to {"version", "error"}, where an error is known only for those that had to be tried.
        """
        return {
            "runtime": None if self.tflite is None else self.tflite.name,
            "runtime_version": None if self.tflite is None else self.tflite.version,
            "runtime_error": self.tflite_error,
            "runtimes": {
                name: {"version": version, "error": self._errors.get(name)} for name, version in self._versions.items()
            },
        }

    def for_model(self, content: Any, wait: Wait = plain_wait) -> Runtime:
        """The runtime for a model, told by its first bytes. `content` is bytes or an array of uint8.

        Raises: `RuntimeMissing` when there is none for this format; and what `wait` raises.
        """
        start = bytes(content[:8])
        if start[4:8] == b"TFL3":
            if self.tflite is None:
                raise RuntimeMissing(str(self.tflite_error))
            return self.tflite
        if start[:4] == b"PK\3\4":
            return self._need_torch(wait)
        return UnknownFormat()

    def _need_torch(self, wait: Wait) -> Runtime:
        if self._torch is None:
            if "torch" not in self._errors:
                self._try_torch(wait)
            if self._torch is None:
                raise RuntimeMissing(
                    f"torch cannot be imported ({self._errors['torch']}); install it with: pip install torch"
                )
        return self._torch

    def _try_torch(self, wait: Wait) -> None:
        """Import torch first in a child, which a broken installation may kill, and which leaves its files in memory.

        The import that counts is quick then, well within the time after which a silent agent counts as gone.
        """
        from .runtime_torch import import_torch

        if not is_installed("torch"):
            self._errors["torch"] = "it is not installed"
            return
        trial = run_isolated(
            lambda: ({"version": import_torch().version}, b""), _TORCH_IMPORT_S, _TORCH_IMPORT_MIB, wait
        )
        if trial.error is not None:
            self._errors["torch"] = trial.error["message"]
            return
        self._torch = import_torch()
        gc.collect()
        gc.freeze()  # what was imported stays out of the children's collections too


def is_installed(name: str) -> bool:
    """Whether a runtime's package is there; it is not imported, and may still fail to."""
    try:
        return importlib.util.find_spec(_PACKAGES[name][0]) is not None
    except (ImportError, ValueError):  # a parent that is half a package
        return False


def installed_version(name: str) -> str | None:
    """From the package's metadata; None where there is none."""
    for distribution in _PACKAGES[name][1]:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None
